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
        if not _is_of_pandas(str(frame.f_globals.get("__name__"))):
            continue  # what the code itself made is not touched
        held = frame.f_locals.get("self")
        table: Any = getattr(held, "obj", held)  # of a group, the table that is grouped
        if type(table).__name__ == "DataFrame" and _is_of_pandas(type(table).__module__):
            columns = [repr(name) for name in list(table.columns)]
    names = ", ".join(columns[:_MOST_NAMES])
    more = ", …" if len(columns) > _MOST_NAMES or len(names) > _LONGEST else ""
    return f"Columns: {names[:_LONGEST]}{more}" if columns else ""


def _is_of_pandas(module: str) -> bool:
    return module.partition(".")[0] == "pandas"
