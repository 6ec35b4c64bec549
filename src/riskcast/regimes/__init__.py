"""Market states found in the data: fitted at fixed dates, used only for the sessions after."""
