"""`qwenbelt mcp`: its commands."""
