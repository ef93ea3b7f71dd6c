"""Imports that wait for their first use: names of package faces, and slow packages of others.

A face lists its public names once, by the module that defines each:

    __all__, __getattr__, __dir__ = lazy(__name__, {"qwenbelt.tools.base": ("Tool", "ToolContext")})

Type checkers and editors read the imports under `TYPE_CHECKING` beside it; a test compares the two.

Of others it is one: `jsonschema` imports `rfc3987_syntax` where that is installed (Jupyter's server
brings it), to check the formats `iri` and `iri-reference`. Its import builds the 38 parsers of a
grammar, two seconds and a half; qwen-agent imports `jsonschema` for every tool that it makes, `mcp`
for every server.
This module imports nothing that costs time: it is part of `import qwenbelt`.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing's own costs milliseconds to import
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

_LATE = "rfc3987_syntax"


def lazy(
    package: str, modules: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Returns `__getattr__` and `__dir__` for a package whose names live in other modules.

    Args:
        package: The package's own name, for the message of an unknown name.
        modules: Names by the full name of the module that defines them.
    """
    homes = {name: module for module, names in modules.items() for name in names}

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = sys.modules.get(homes[name])
        if module is None or not hasattr(module, name):
            from importlib import import_module

            module = import_module(homes[name])
        return getattr(module, name)

    def names() -> list[str]:
        return sorted({*homes, *vars(sys.modules[package])})

    return load, names


class _LateLoader:
    """Makes a module that is executed when something of it is used."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        def is_valid_syntax(term: str, value: str) -> bool:
            return bool(load("is_valid_syntax")(term, value))

        def load(name: str) -> Any:
            if name.startswith("__") and name != "__all__":  # asked of every module by tools
                raise AttributeError(name)
            if vars(module).get("is_valid_syntax") is is_valid_syntax:
                self._loader.exec_module(module)  # sets the real functions
                vars(module).pop("__getattr__", None)
            return getattr(module, name)

        vars(module).update(is_valid_syntax=is_valid_syntax, __getattr__=load)


class _LateFinder:
    """Finds `rfc3987_syntax` as Python does, and leaves it unexecuted."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _LATE:
            return None
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _LateLoader(spec.loader)  # type: ignore[assignment]
        return spec


def put_off() -> None:
    """Lets slow packages be loaded when they are first used; once in a process."""
    if _LateFinder not in sys.meta_path:
        sys.meta_path.insert(0, _LateFinder)
