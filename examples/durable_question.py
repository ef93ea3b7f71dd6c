"""A run under an id: killed, it goes on where it was; answered, it is not asked again."""

from __future__ import annotations

from pathlib import Path

from qwenbelt import FnCallAgent, endpoint


def note(text: str) -> str:
    """Writes a line into notes.txt."""
    with Path("notes.txt").open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")
    return "noted"


if __name__ == "__main__":
    agent = FnCallAgent([note], llm=endpoint(otherwise=__file__))
    for _ in range(2):  # the second time everything is known already
        print(agent.ask("Note that it rains.", durable="runs.sqlite", run_id="rain").text)
    print(f"lines noted: {len(Path('notes.txt').read_text(encoding='utf-8').splitlines())}")
