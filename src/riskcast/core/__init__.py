"""Window, clock, settings, errors: what every room may use. Standard library only."""
