"""Cells that cover several places of a table: each place gets the value, shown once."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_SPAN = 1000  # rows or columns of one cell, as browsers limit it
MAX_FILLED = 100_000  # places of one table that cells fill beside their own


@dataclass(slots=True)
class Places:
    """A table that is filled cell by cell.

    Attributes:
        rows: the value of each place; a cell that covers several is in all of them.
        shown: as people see it: the value of a cell in its first place only.
    """

    rows: list[list[str]] = field(default_factory=list)
    shown: list[list[str]] = field(default_factory=list)
    _taken: list[list[bool]] = field(default_factory=list)
    _free: list[int] = field(default_factory=list)  # of each row: all places before it are taken
    _count: int = 0

    def next_row(self) -> int:
        """Begins a row; returns its index."""
        self._at_least(len(self._begun) + 1)
        self._begun.append(True)
        return len(self._begun) - 1

    _begun: list[bool] = field(default_factory=list)

    def put(self, text: str, across: int = 1, down: int = 1, *, column: int | None = None) -> None:
        """Puts a cell in the row that was begun last, at the first free place.

        Args:
            text: its value.
            across: how many columns it covers.
            down: how many rows it covers.
            column: where it is, if that is known.
        """
        row = len(self._begun) - 1
        taken = self._taken[row]
        if column is None:
            at = self._free[row]
            while at < len(taken) and taken[at]:
                at += 1
            self._free[row] = at
        else:
            at = column
        across, down = max(1, min(across, MAX_SPAN)), max(1, min(down, MAX_SPAN))
        self._count += across * down - 1
        if self._count > MAX_FILLED:
            across = down = 1
        self._at_least(row + down)
        for r in range(row, row + down):
            self._widen(r, at + across)
            for c in range(at, at + across):
                if not self._taken[r][c]:
                    self._taken[r][c] = True
                    self.rows[r][c] = text
                    self.shown[r][c] = text if (r, c) == (row, at) else ""

    def cut(self) -> None:
        """Leaves out rows that only spans reached: there are no such rows."""
        count = len(self._begun)
        del self.rows[count:], self.shown[count:], self._taken[count:]

    def _at_least(self, count: int) -> None:
        while len(self.rows) < count:
            self.rows.append([])
            self.shown.append([])
            self._taken.append([])
            self._free.append(0)

    def _widen(self, row: int, width: int) -> None:
        missing = width - len(self.rows[row])
        if missing > 0:
            self.rows[row] += [""] * missing
            self.shown[row] += [""] * missing
            self._taken[row] += [False] * missing
