"""The dashboard: the same core in a browser."""
