"""Cells that a person runs in a conversation's code session, beside those of its answers."""

from __future__ import annotations

import dataclasses
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from qwenbelt.apps.gui.strings import PageError

CELLS = "cells"  # what a conversation keeps them under
_MOST_CELLS = 200
_MOST_OUTPUT = 20_000


@dataclasses.dataclass
class OwnCell:
    """One cell.

    Attributes:
        after: the id of the turn that was the last one then, "" before the first.
        state: the name of what the variables are after it.
        status: "running", or how it ended.
        pictures: names of files in the conversation's folder.
    """

    code: str
    after: str
    state: str
    status: str = "running"
    output: str = ""
    pictures: list[str] = dataclasses.field(default_factory=list)
    id: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex[:12])


class OwnCells:
    """The cells of one conversation; one of them runs at a time.

    Args:
        kept: as they were kept.
        keep: keeps them.
    """

    def __init__(self, kept: Any, keep: Callable[[list[dict[str, Any]]], None]) -> None:
        self.cells = [OwnCell(**cell) for cell in kept or ()]
        self.running: OwnCell | None = None
        self.cancelled = threading.Event()
        self._keep = keep
        for cell in self.cells:
            if cell.status == "running":  # the server ended meanwhile
                cell.status = "cancelled"

    def begin(self, code: str, after: str) -> OwnCell:
        """Adds a cell that runs from now on.

        Raises:
            PageError: another one runs, or there are too many.
        """
        if self.running is not None:
            raise PageError("cell_runs")
        if len(self.cells) >= _MOST_CELLS:
            raise PageError("many_cells", count=_MOST_CELLS)
        cell = self.running = OwnCell(code, after, uuid.uuid4().hex)
        self.cells.append(cell)
        self.cancelled = threading.Event()
        return cell

    def printed(self, text: str) -> None:
        """Adds what the running cell prints."""
        if self.running is not None:
            self.running.output = (self.running.output + text)[-_MOST_OUTPUT:]

    def end(self, status: str, output: str, pictures: Sequence[str] = ()) -> None:
        """Ends the running cell."""
        cell, self.running = self.running, None
        if cell is not None:
            cell.status, cell.output = status, output[:_MOST_OUTPUT]
            cell.pictures = list(pictures)
            self._keep([dataclasses.asdict(one) for one in self.cells])

    def remove(self, cell: str) -> None:
        """Takes a cell that has ended off the list; what it did to the variables stays."""
        self.cells = [one for one in self.cells if one.id != cell or one is self.running]
        self._keep([dataclasses.asdict(one) for one in self.cells])

    def state_after(self, turn: str, before: str) -> str:
        """Returns the name of the variables after the cells that follow a turn."""
        states = [cell.state for cell in self.cells if cell.after == turn]
        return states[-1] if states else before

    def after(self, turn: str) -> list[OwnCell]:
        """Returns the cells that follow a turn."""
        return [cell for cell in self.cells if cell.after == turn]
