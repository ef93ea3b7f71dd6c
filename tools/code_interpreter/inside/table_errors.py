"""What errors about tables leave out: which columns there are."""

from __future__ import annotations

import traceback
from typing import Any

_MOST_NAMES = 40
_LONGEST = 1000  # characters


def columns_told(error: BaseException | None) -> str:
    """Returns a line with the columns of the pandas table that misses a key, or "".

    A model that has not seen the head of a file guesses how its columns are spelt, and sends the
    same guess again when it is told no more than that it was wrong.
    """
    if not isinstance(error, KeyError):
        return ""
    columns: list[str] = []
    for frame, _ in traceback.walk_tb(error.__traceback__):
        held = frame.f_locals.get("self")
        table: Any = getattr(held, "obj", held)  # of a group, the table that is grouped
        if _is_table(table):
            columns = [repr(name) for name in list(table.columns)[: _MOST_NAMES + 1]]
    if not columns:
        return ""
    more = ", …" if len(columns) > _MOST_NAMES else ""
    return f"Columns: {', '.join(columns[:_MOST_NAMES])[:_LONGEST]}{more}"


def _is_table(value: Any) -> bool:
    kind = type(value)
    return kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == "pandas"
