"""An agent as an OpenAI-compatible server."""

from __future__ import annotations

from qwenbelt.apps.serve.app import AgentServer, ServeOptions, serve_agent

__all__ = ["AgentServer", "ServeOptions", "serve_agent"]
