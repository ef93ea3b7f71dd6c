"""Stands in for packages that a benchmark imports and its tasks and scorers do not need.

Benchmarks import the clients of many vendors, and loggers, beside their own scorers. Whatever is
installed is used; what is not gets a stand-in while the benchmark is imported, and only then.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.partition(".")[0] in self._names:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: Any) -> ModuleType:
        module = MagicMock(name=spec.name)
        module.__path__, module.__spec__, module.__name__ = [], spec, spec.name
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Does nothing."""


@contextmanager
def stood_in(names: Iterable[str]) -> Iterator[None]:
    """Has packages that are not installed stood in for, while this is open."""
    finder, before = _Finder(names), set(sys.modules)
    sys.meta_path.append(finder)  # asked last: what is installed is used
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in set(sys.modules) - before:
            if isinstance(sys.modules[name], MagicMock):
                del sys.modules[name]


__all__ = ["stood_in"]
