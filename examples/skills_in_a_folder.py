"""Skills: the model reads a line on each, loads the one it needs, and runs its script."""

from __future__ import annotations

from pathlib import Path

from qwenbelt import FnCallAgent, endpoint

if __name__ == "__main__":
    skill = Path("skills/line-count")
    (skill / "scripts").mkdir(parents=True, exist_ok=True)
    (skill / "SKILL.md").write_text(
        "---\nname: line-count\ndescription: Counts the lines of a text.\n---\n"
        "Run scripts/count.py with the text as its argument.\n",
        encoding="utf-8",
    )
    (skill / "scripts" / "count.py").write_text(
        "import sys\nprint(len(sys.argv[1].splitlines()))\n", encoding="utf-8"
    )
    agent = FnCallAgent(llm=endpoint(otherwise=__file__), skills=["./skills"])
    print(agent.ask("How many lines has 'one\\ntwo\\nthree'?").text)
