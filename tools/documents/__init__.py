"""Documents that are read, searched and cited by page. Importing this costs next to nothing.

    from qwenbelt.tools.documents import DocumentIndex, render_page, verify_citation

    with DocumentIndex("index.db") as index:           # one SQLite file; None: a temporary one
        index.add(["a.pdf", "folder"], progress=print) # -> [Added(file, state, notes, error...)]
        index.search("net sales 2018", 5, files=["a.pdf"], pages=[3], section="Item 7")
                                                       # -> [Hit(file, page, quote, score, box...)]
        index.pages("a.pdf", [58])                     # -> [Page(number, text, lines, tables...)]
        index.tables("a.pdf")                          # -> [Table(page, box, rows, caption...)]
        index.documents(); index.remove(["a.pdf"])
        verify_citation(index, "a.pdf", 58, "Total assets 36,500")       # -> Box, or None
    render_page("a.pdf", 58, boxes=[hit.box], scale=2)                   # -> PNG bytes

Boxes are `(x0, top, x1, bottom)` in points from the top left of the displayed page; pages count
from 1. Errors for people are one-line `InputError`s that name the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenbelt.core.lazy import lazy

if TYPE_CHECKING:
    from qwenbelt.tools.documents.citations import find_quote, verify_citation
    from qwenbelt.tools.documents.index import Added, DocumentIndex, Progress
    from qwenbelt.tools.documents.model import Box, Page, Table
    from qwenbelt.tools.documents.parsing.pdf.page_pictures import page_picture, render_page
    from qwenbelt.tools.documents.search.hits import Hit
    from qwenbelt.tools.documents.stock import replace_stock_retrieval
    from qwenbelt.tools.documents.store import Document

__all__ = [
    "Added",
    "Box",
    "Document",
    "DocumentIndex",
    "Hit",
    "Page",
    "Progress",
    "Table",
    "find_quote",
    "page_picture",
    "render_page",
    "replace_stock_retrieval",
    "verify_citation",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "qwenbelt.tools.documents.citations": (
            "find_quote",
            "verify_citation",
        ),
        "qwenbelt.tools.documents.index": (
            "Added",
            "DocumentIndex",
            "Progress",
        ),
        "qwenbelt.tools.documents.model": (
            "Box",
            "Page",
            "Table",
        ),
        "qwenbelt.tools.documents.parsing.pdf.page_pictures": (
            "page_picture",
            "render_page",
        ),
        "qwenbelt.tools.documents.search.hits": ("Hit",),
        "qwenbelt.tools.documents.stock": ("replace_stock_retrieval",),
        "qwenbelt.tools.documents.store": ("Document",),
    },
)
