"""Tables that span pages: their later parts carry the caption and header of the first."""

from __future__ import annotations

from qwenbelt.tools.documents.model import Page, Table
from qwenbelt.tools.documents.search.chunks import header_line, header_rows

BETWEEN = 250  # characters between two parts of a table: a footer and a running header
REACH = 6.0  # points that the edges of the parts may differ
MAX_HEADER = 600  # characters


class CarriedHeaders:
    """The columns of a table at the end of a page; fed page by page."""

    def __init__(self) -> None:
        self._table: Table | None = None
        self._left = 0  # characters below it
        self._named = self._header = ""

    def carry(self, page: Page) -> None:
        """Gives a table that continues from the page before its caption; remembers the last one."""
        for table in page.tables:
            header = "\n".join(map(header_line, header_rows(table)))
            named = "\n".join(filter(None, (table.caption, header)))
            if table is page.tables[0] and self._goes_on(table) and header != self._header:
                table.caption = "\n".join(filter(None, (self._named, table.caption)))
                named = self._named
                header = self._header
            self._table, self._left = table, len(page.text.rstrip()) - table.end
            self._named, self._header = named[:MAX_HEADER], header
        if not page.tables:
            self._table = None

    def _goes_on(self, table: Table) -> bool:
        before = self._table
        if before is None or before.page + 1 != table.page or not self._named:
            return False
        if self._left + table.start > BETWEEN or len(before.rows[0]) != len(table.rows[0]):
            return False
        if before.box is None or table.box is None:
            return False
        sides = ((before.box.x0, table.box.x0), (before.box.x1, table.box.x1))
        return all(abs(one - other) <= REACH for one, other in sides)
