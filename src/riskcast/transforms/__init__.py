"""Bronze to silver: pure functions on frames."""
