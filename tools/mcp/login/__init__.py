"""Logging in to remote MCP servers by OAuth 2.1."""
