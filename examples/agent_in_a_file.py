"""An agent described by a file: read by name here, and by `qwenbelt run -a translator` as well."""

from __future__ import annotations

from pathlib import Path

from qwenbelt.agents import endpoint, load_agent

TRANSLATOR = """\
---
description: Translates into plain German.
tools: []
---
You translate what you are given into plain German. Say nothing else.
"""

if __name__ == "__main__":
    folder = Path("agents")
    folder.mkdir(exist_ok=True)
    (folder / "translator.md").write_text(TRANSLATOR, encoding="utf-8")
    agent = load_agent("translator", llm=endpoint(otherwise=__file__))
    *_, messages = agent.run([{"role": "user", "content": "The tower is 112 m tall."}])
    print(f"{agent.name}: {messages[-1]['content']}")
