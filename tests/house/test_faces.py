"""What is public is written once and importable, and every class has a name of its own."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("core", "tools", "mcp_servers", "agents", "workflows", "apps", "testing")
PACKAGE = Path(__file__).resolve().parents[2] / "src" / "qwenbelt"
# the one module that is public as such: `telemetry.enable()` reads better than a name of its own
PUBLIC_MODULES = {("qwenbelt.agents", "telemetry")}


def faces() -> dict[str, Path]:
    """The packages that say what is public of them, with their folders."""
    found = {"qwenbelt": PACKAGE}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("__init__.py")):
            if "__all__ = [" in path.read_text(encoding="utf-8"):
                found[".".join(("qwenbelt", *path.parent.relative_to(ROOT).parts))] = path.parent
    return found


FACES = faces()
LAZY = [name for name, folder in FACES.items() if "lazy(" in (folder / "__init__.py").read_text()]


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


@pytest.mark.parametrize("name", LAZY)
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


def imports_shown() -> list[tuple[str, str, list[str]]]:
    """Where docs and examples import from the package: the file, the module, and the names."""
    files = [
        *ROOT.glob("README*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*"),
    ]
    pattern = re.compile(r"\bfrom (qwenbelt[\w.]*) import (\([^)]*\)|[\w, ]+)")
    return [
        (str(path.relative_to(ROOT)), module, re.findall(r"[A-Za-z_]\w*", names.replace("\\n", "")))
        for path in files
        if path.suffix in (".md", ".py", ".ipynb")
        for module, names in pattern.findall(path.read_text(encoding="utf-8"))
    ]


def test_docs_and_examples_import_what_is_public() -> None:
    shown = imports_shown()
    assert len(shown) > 80
    deep = [
        (path, module, name)
        for path, module, names in shown
        for name in (itertools.takewhile(lambda name: name != "as", names))
        if (module, name) not in PUBLIC_MODULES
        and (module not in FACES or name not in importlib.import_module(module).__all__)
    ]
    assert deep == []
