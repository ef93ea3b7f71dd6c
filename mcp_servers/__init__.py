"""The tools of this pack as MCP servers."""
