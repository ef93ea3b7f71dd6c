"""The scripted endpoint: an HTTP server that plays a scenario."""
