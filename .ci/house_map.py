"""Prints a line for each file of the package, from its docstring: the map of the house.

    python .ci/house_map.py [FOLDER]

`docs.py` puts the same list on the page about the architecture.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("core", "tools", "mcp_servers", "agents", "workflows", "apps", "testing")


def purpose(path: Path) -> str:
    """Returns the first sentence of a file's docstring, "" where it has none."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def house_map(folder: str = "") -> str:
    """Returns the map as Markdown: a heading for each folder, a line for each file."""
    lines: list[str] = []
    for room in ROOMS:
        for init in sorted((ROOT / room).rglob("__init__.py")):
            place = init.parent.relative_to(ROOT)
            if not str(place).startswith(folder):
                continue
            lines += ["", f"### {place}", "", purpose(init), ""]
            lines += [
                f"- `{path.name}`: {purpose(path)}"
                for path in sorted(init.parent.glob("*.py"))
                if path != init
            ]
    return "\n".join(lines).strip() + "\n"


if __name__ == "__main__":
    print(house_map(*sys.argv[1:2]), end="")
