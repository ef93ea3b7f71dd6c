"""The chat in the browser over agents of your own, as with qwen-agent's `WebUI`."""

from __future__ import annotations

import sys

from qwenbelt.agents import FnCallAgent, endpoint
from qwenbelt.apps.gui import WebUI


def celsius(fahrenheit: float) -> str:
    """Converts a temperature to degrees Celsius.

    Args:
        fahrenheit: degrees Fahrenheit.
    """
    return f"{(fahrenheit - 32) / 1.8:.1f}"


def main(spec: str | None = None, port: str = "7860") -> None:
    llm = endpoint(spec)  # for example "dashscope:qwen-plus"; without one it is looked for
    analyst = FnCallAgent(["code_interpreter"], llm, name="analyst", description="Computes.")
    weather = FnCallAgent([celsius], llm, name="weather", description="Knows temperatures.")
    config = {
        "user.name": "Ann",
        "input.placeholder": "Ask the analyst, or @weather",
        "prompt.suggestions": ["@weather How many degrees Celsius are 212 F?"],
    }
    WebUI([analyst, weather], config).run(server_port=int(port), enable_mention=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
