"""What of other packages takes seconds to import waits for its first use, and works as it does."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.core.lazy import put_off

LAZY = importlib.import_module("qwenbelt.core.lazy")  # the face has a function of this name
CHECK = """
import sys
import qwenbelt
import jsonschema

assert "rfc3987_syntax.syntax_helpers" not in sys.modules, "loaded with jsonschema"
checker = jsonschema.FormatChecker()
print([checker.conforms(text, form) for form in ("iri", "iri-reference")
       for text in ("https://例子.测试/路", "https://a b", "/路", "http://[")])
import rfc3987_syntax
print(rfc3987_syntax.parse("iri", "a:b").data)
"""


def test_the_grammars_of_iris_are_built_when_one_is_checked() -> None:
    pytest.importorskip("rfc3987_syntax")
    command = [sys.executable, "-c", CHECK]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=True)
    assert done.stdout.split("\n")[:2] == [
        "[True, False, False, False, True, False, True, False]",
        "iri",
    ]


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package like it, which says when it is executed."""
    package = tmp_path / "slow_grammar"
    package.mkdir()
    lines = "def is_valid_syntax(term, value): return term == value\ndef parse(): return 'tree'\n"
    (package / "__init__.py").write_text(f"loaded = True\n{lines}", encoding="utf-8")
    (package / "part.py").write_text("number = 7\n", encoding="utf-8")
    monkeypatch.setattr(LAZY, "_LATE", package.name)
    monkeypatch.syspath_prepend(str(tmp_path))
    put_off()
    yield package.name
    for module in (package.name, f"{package.name}.part"):
        sys.modules.pop(module, None)


@pytest.mark.parametrize(
    ("use", "found"),
    [
        (lambda module: module.is_valid_syntax("a", "a"), True),
        (lambda module: module.is_valid_syntax("a", "b"), False),
        (lambda module: module.parse(), "tree"),
        (lambda module: hasattr(module, "nothing_of_it"), False),
    ],
)
def test_it_is_executed_at_its_first_use(name: str, use: Any, found: object) -> None:
    module = importlib.import_module(name)
    assert not hasattr(module, "__wrapped__")  # as tools ask of every module
    assert "loaded" not in vars(module)
    assert use(module) == found
    assert vars(module)["loaded"]
    assert use(module) == found


def test_parts_of_it_and_all_of_it_can_be_imported(name: str) -> None:
    assert importlib.import_module(f"{name}.part").number == 7
    names: dict[str, Any] = {}
    exec(f"from {name} import *", names)
    assert names["is_valid_syntax"]("a", "a")
    assert names["parse"]() == "tree"


def test_what_is_not_there_is_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LAZY, "_LATE", "nowhere_at_all")
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'nowhere_at_all'$"):
        importlib.import_module("nowhere_at_all")
