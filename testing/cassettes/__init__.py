"""Recording and replaying real endpoints."""
