"""Imports that small models forget: `plt.show()` in a session that has not imported `plt`."""

from __future__ import annotations

import ast
import builtins
import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

# names that mean one module wherever people work with data
_USUAL = {
    "np": "numpy",
    "pd": "pandas",
    "plt": "matplotlib.pyplot",
    "sns": "seaborn",
    "math": "math",
    "json": "json",
    "re": "re",
    "os": "os",
}


def forgotten_imports(trees: Iterable[ast.AST], known: Mapping[str, Any]) -> list[str]:
    """Returns the import lines for usual names that code reads and that nothing binds.

    Args:
        trees: of the code.
        known: the names of the session.
    """
    read: dict[str, None] = {}
    bound: set[str] = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                read[node.id] = None
            else:
                bound.add(node.id)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
    wanted = [n for n in read if n in _USUAL and not (n in bound or n in known)]
    return [
        f"import {_USUAL[name]}" + (f" as {name}" if name != _USUAL[name] else "")
        for name in wanted
        if not hasattr(builtins, name)
    ]


def forgotten_in_cells(cells: Iterable[str]) -> list[str]:
    """Returns the import lines that a session's cells need to run outside of it."""
    trees = []
    for code in cells:
        with contextlib.suppress(SyntaxError, ValueError, RecursionError):
            trees.append(ast.parse(code))
    return forgotten_imports(trees, {})


class UsualImports(ast.NodeTransformer):
    """Puts the imports that a cell forgot in front of it.

    Nothing is said of it: small models copy any remark beside a result into their answer.

    Args:
        known: gives the names of the session.
    """

    def __init__(self, known: Callable[[], Mapping[str, Any]]) -> None:
        self._known = known

    def visit_Module(self, tree: ast.Module) -> ast.Module:
        """Returns the tree of a cell with what it forgot."""
        lines = forgotten_imports([tree], self._known())
        tree.body[:0] = ast.parse("\n".join(lines)).body
        return tree
