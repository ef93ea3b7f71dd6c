"""Finding tools by what they do, so that not all of them must be declared.

from qwenbelt.tools.search import ToolIndex

ToolIndex(functions).search("convert dollars to euros", 5)   # -> ["currency_convert", ...]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenbelt.core.lazy import lazy

if TYPE_CHECKING:
    from qwenbelt.tools.search.index import ToolIndex

__all__ = ["ToolIndex"]

__getattr__, __dir__ = lazy(__name__, {"qwenbelt.tools.search.index": ("ToolIndex",)})
