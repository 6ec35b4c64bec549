"""What people look at: pages over the API and the tables that others may read."""
