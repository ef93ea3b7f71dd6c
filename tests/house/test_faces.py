"""What is public is written once and importable, and every class has a name of its own."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("core", "tools", "mcp_servers", "agents", "workflows", "apps", "testing")
PACKAGE = Path(__file__).resolve().parents[2] / "src" / "qwenbelt"
FACES = {
    "qwenbelt": PACKAGE,
    "qwenbelt.agents": PACKAGE / "agents",
    "qwenbelt.testing": PACKAGE / "testing",
    "qwenbelt.tools": PACKAGE / "tools",
    "qwenbelt.tools.documents": PACKAGE / "tools" / "documents",
    "qwenbelt.tools.mcp": PACKAGE / "tools" / "mcp",
    "qwenbelt.workflows.report": PACKAGE / "workflows" / "report",
}


def seen_by_checkers(path: Path) -> dict[str, str]:
    """The names imported under `TYPE_CHECKING`, with the module of each."""
    return {
        alias.name: node.module or ""
        for block in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(block, ast.If)
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("name", FACES)
def test_a_face_says_its_names_once_and_they_load(name: str) -> None:
    face = importlib.import_module(name)
    seen = seen_by_checkers(FACES[name] / "__init__.py")
    assert set(face.__all__) - {"__version__"} == set(seen)
    for public, module in seen.items():
        assert getattr(face, public) is getattr(importlib.import_module(module), public)
    assert set(face.__all__) - {"__version__"} <= set(dir(face))
    with pytest.raises(AttributeError, match="has no attribute 'nothing_of_this_name'"):
        face.nothing_of_this_name  # noqa: B018


def test_the_front_door_imports_nothing_that_costs() -> None:
    code = (
        "import sys; before = set(sys.modules); import qwenbelt; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split()) - {"__future__"}
    assert loaded == {"qwenbelt", "qwenbelt.core", "qwenbelt.core.lazy"}


# Names that may be defined more than once, each with its reason: the glossary of exceptions.
TWICE: dict[str, str] = {}


def definitions() -> dict[str, list[str]]:
    found = defaultdict(list)
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef):
                    found[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def test_no_class_name_is_defined_twice() -> None:
    twice = {name: places for name, places in definitions().items() if len(places) > 1}
    assert {name: places for name, places in twice.items() if name not in TWICE} == {}
    assert set(TWICE) <= set(twice), "an exception that is no longer needed"
