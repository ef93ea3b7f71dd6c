"""The house stays a house: imports go down only, and the package holds what is on disk."""

from __future__ import annotations

import ast
import graphlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOORS = {"core": 1, "tools": 2, "mcp_servers": 3, "agents": 4, "workflows": 5, "apps": 6}
BESIDE = "testing"
SCRIPTS = ROOT / "tools" / "skills" / "shipped"
SHIPPED = (*FLOORS, BESIDE)


def sources(folder: str) -> Iterator[Path]:
    # scripts of skills are data: no package, run in a sandbox
    return (path for path in (ROOT / folder).rglob("*.py") if SCRIPTS not in path.parents)


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def at_import_time(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The imports outside functions and `if TYPE_CHECKING`."""

    def visit(nodes: list[ast.stmt]) -> Iterator[tuple[int, str]]:
        for node in nodes:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                yield from imported(node)
            elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node.test):
                yield from visit(node.body + node.orelse)
            elif isinstance(node, ast.Try):
                yield from visit(node.body)
            elif isinstance(node, ast.ClassDef):
                yield from visit(node.body)

    return visit(tree.body)


@pytest.mark.parametrize("folder", SHIPPED)
def test_imports_go_down_only(folder: str) -> None:
    wrong = []
    for path in sources(folder):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for line, name in imported(tree):
            parts = name.split(".")
            place = f"{path.relative_to(ROOT)}:{line}"
            if name.startswith("."):
                wrong.append(f"{place}: relative import")
            if parts[0] in SHIPPED and (ROOT / parts[0]).is_dir():
                wrong.append(f"{place}: bare import of {name}; use qwenbelt.{name}")
            if parts[0] != "qwenbelt" or len(parts) < 2 or folder == BESIDE:
                continue
            if FLOORS.get(parts[1], 0) > FLOORS[folder]:
                wrong.append(f"{place}: imports upward: {name}")
    assert not wrong, "\n".join(wrong)


def test_the_testing_kit_needs_only_core_to_be_imported() -> None:
    wrong = []
    for path in sources(BESIDE):
        for line, name in at_import_time(ast.parse(path.read_text(encoding="utf-8"))):
            parts = name.split(".")
            if parts[0] == "qwenbelt" and parts[1] not in ("core", BESIDE):
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {name}")
    assert not wrong, "\n".join(wrong)


def test_the_package_holds_a_link_to_each_folder() -> None:
    package = ROOT / "src" / "qwenbelt"
    links = {path.name: path.resolve() for path in package.iterdir() if path.is_symlink()}
    assert links == {top: ROOT / top for top in SHIPPED}
    for top in SHIPPED:
        for folder, _, files in os.walk(ROOT / top):
            if any(name.endswith(".py") for name in files) and SCRIPTS not in Path(folder).parents:
                assert "__init__.py" in files, f"{folder} is no package: the wheel would miss it"


def test_files_and_functions_stay_readable() -> None:
    wrong = []
    for top in SHIPPED:
        for path in sources(top):
            text = path.read_text(encoding="utf-8")
            if text.count("\n") > 600:
                wrong.append(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines")
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    lines = (node.end_lineno or 0) - node.lineno
                    if lines > 80:
                        wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines}")
    assert not wrong, "\n".join(wrong)


def needed(path: Path, modules: dict[str, Path]) -> set[str]:
    """The modules of ours that a file imports, inside functions too; not those for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if node in types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in modules else node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found & modules.keys()


def test_no_circle_of_imports_not_even_inside_functions() -> None:
    modules = {
        ".".join(("qwenbelt", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for folder in SHIPPED
        for path in sources(folder)
    }
    graph = {name: needed(path, modules) - {name} for name, path in modules.items()}
    try:
        tuple(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_chat_model_can_be_imported_while_qwen_agent_is() -> None:
    """It is registered in the middle of `import qwen_agent.llm`, which `tools.base` may have begun.

    So nothing that it imports may import `tools.base` in its turn.
    """
    seen, wanted = set(), ["qwenbelt.agents.chat_model"]
    while wanted:
        name = wanted.pop()
        parts = name.split(".")[1:]
        path = ROOT.joinpath(*parts).with_suffix(".py")
        path = path if path.exists() else ROOT.joinpath(*parts, "__init__.py")
        if name not in seen and parts and path.exists():
            seen.add(name)
            tree = ast.parse(path.read_text(encoding="utf-8"))
            wanted += [found for _, found in at_import_time(tree) if found.startswith("qwenbelt")]
    assert "qwenbelt.agents.runtime.history" in seen
    assert "qwenbelt.tools.base" not in seen


def test_the_map_has_a_line_for_each_file() -> None:
    """The page about the architecture lists every file by the first sentence of its docstring."""
    found = subprocess.run(
        [sys.executable, ROOT / ".ci" / "house_map.py"], capture_output=True, text=True, check=True
    ).stdout
    files = [path for top in SHIPPED for path in sources(top) if path.name != "__init__.py"]
    lines = [line for line in found.splitlines() if line.startswith("- `")]
    assert len(lines) == len(files)
    assert [line for line in lines if line.rstrip().endswith(":")] == []
    text = (ROOT / "AGENTS.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    for place in re.findall(r"`((?:core|tests|docs)[\w./]*\.\w+)`", text):
        name = place.removesuffix("()")
        is_file = (ROOT / name).exists()
        module = ROOT.joinpath(*name.split(".")[:2])
        is_module = module.with_suffix(".py").exists() or module.is_dir()
        assert is_file or is_module or "NAME" in name, place


def test_the_architecture_names_files_that_exist() -> None:
    names = {path.name for top in SHIPPED for path in sources(top)}
    for page in ("docs/architecture.md", "docs/zh/architecture.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        named = re.findall(r"`(?:[\w/]*/)?(\w+\.py)`", text)
        assert len(named) > 20
        assert [name for name in named if name not in names] == []
