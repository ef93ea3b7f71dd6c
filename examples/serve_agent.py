"""An agent as an OpenAI-compatible server, for any chat that people already use."""

from __future__ import annotations

import sys

from qwenbelt.agents import FnCallAgent, endpoint
from qwenbelt.apps.serve import ServeOptions, serve_agent


def celsius(fahrenheit: float) -> str:
    """Converts a temperature to degrees Celsius.

    Args:
        fahrenheit: degrees Fahrenheit.
    """
    return f"{(fahrenheit - 32) / 1.8:.1f}"


def main(spec: str | None = None, port: str = "8808") -> None:
    agent = FnCallAgent([celsius], endpoint(spec))
    # clients: base URL http://127.0.0.1:8808/v1, model "weather", any API key
    serve_agent(agent, ServeOptions(name="weather", port=int(port), activity="notes"))


if __name__ == "__main__":
    main(*sys.argv[1:])
