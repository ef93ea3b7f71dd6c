"""What is public: the names that a package's `__init__` exports, written once and importable."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

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
