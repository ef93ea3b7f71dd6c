"""Package faces whose names are imported when they are first used.

A face lists its public names once, by the module that defines each:

    __all__, __getattr__, __dir__ = lazy(__name__, {"qwenbelt.tools.base": ("Tool", "ToolContext")})

Type checkers and editors read the imports under `TYPE_CHECKING` beside it; a test compares the two.
This module imports nothing that costs time: it is part of `import qwenbelt`.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing's own costs milliseconds to import
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


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
