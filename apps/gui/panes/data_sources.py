"""Where the tables of a conversation are: results of SQL, data frames, tables of documents."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.panes.data_grid import rows_page, table_page
from qwenbelt.apps.gui.panes.notebook import (
    ToolFinder,
    session_variables,
    turn_records,
    write_frame,
)
from qwenbelt.apps.gui.strings import PageError
from qwenbelt.apps.timeline import CallTiming, Timeline
from qwenbelt.core.jsons import loads_bounded

_FRAMES = ("DataFrame", "Series")
_MOST_PAGES = 20  # of a document that are read for their tables at a time
_MOST_RESULTS = 100


async def data_sources(session: ChatSession) -> list[dict[str, str]]:
    """Returns the tables of the code's session and of what was queried.

    Each has a `source`, by which `source_page` finds it, a `name` and what it is (`about`).
    """
    told = await session_variables(session) or []
    frames = [
        {"source": f"frame:{one['name']}", "name": one["name"], "about": one["size"]}
        for one in told
        if one["kind"] in _FRAMES
    ]
    return [*frames, *_results(session)]


def _results(session: ChatSession) -> list[dict[str, str]]:
    out = []
    for turn in session.path():
        for number, call in enumerate(Timeline(turn_records(session, turn.id)).calls):
            table = _table_of_result(call)
            if table is not None:
                source = {"source": f"call:{turn.id}:{number}", "name": _asked(call)}
                out.append({**source, "about": f"{len(table[1])} × {len(table[0])}"})
    return out[-_MOST_RESULTS:]


async def source_page(
    session: ChatSession, source: str, tool: ToolFinder, language: str, how: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns a page of a table.

    Args:
        session: the conversation.
        source: "frame:NAME", "call:TURN:NUMBER" or "page:FILE:PAGE:NUMBER".
        tool: finds the tool that runs the conversation's code.
        language: "en" or "zh".
        how: `page`, `sort`, `down` and `words` of `table_page`.

    Raises:
        PageError: there is no such table.
    """
    kind, _, rest = source.partition(":")
    if kind == "frame":
        path = await write_frame(session, tool(session), rest, language)
        return await asyncio.to_thread(table_page, path, **how)
    if kind == "call":
        table = _result_at(session, rest)
    elif kind == "page":
        table = await asyncio.to_thread(_page_table, session, rest)
    else:
        table = None
    if table is None:
        raise PageError("no_table", name=source)
    return await asyncio.to_thread(rows_page, *table, **how)


def _result_at(session: ChatSession, rest: str) -> tuple[list[str], list[Any]] | None:
    turn, _, number = rest.partition(":")
    if turn not in session.turns or not number.isdigit():
        return None
    calls = Timeline(turn_records(session, turn)).calls
    return _table_of_result(calls[int(number)]) if int(number) < len(calls) else None


def _table_of_result(call: CallTiming) -> tuple[list[str], list[Any]] | None:
    """Returns columns and rows of a result that has both, as those of SQL tools do."""
    texts = [str(item.get("value", "")) for item in call.items if item.get("kind") == "text"]
    text = "\n".join(texts) or call.result
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or '"columns"' not in text[start : start + 200]:
        return None
    try:
        found = loads_bounded(text[start : end + 1])
    except ValueError:
        return None
    columns, rows = (found.get(name) for name in ("columns", "rows"))
    if not isinstance(columns, list) or not isinstance(rows, list) or not columns:
        return None
    if not all(isinstance(row, list) for row in rows):
        return None
    return [str(column) for column in columns], rows


def _asked(call: CallTiming) -> str:
    try:
        given = loads_bounded(call.arguments)
    except ValueError:
        given = {}
    asked = given.get("sql") or given.get("query") if isinstance(given, dict) else ""
    return " ".join(str(asked or call.name).split())[:120]


# -- tables of documents ------------------------------------------------------------------------


def page_tables(path: Path, first: int) -> dict[str, Any]:
    """Returns the tables of some pages of a document, from a page on.

    `more` is the page from which to go on, or None.
    """
    from qwenbelt.tools.documents.parsing.formats import open_document

    with open_document(path) as opened:
        wanted = list(range(max(1, first), min(opened.pages, first + _MOST_PAGES - 1) + 1))
        found = [
            {
                "source": f"page:{path.name}:{page.number}:{number}",
                "name": table.caption or path.name,
                "about": f"p.{page.number}, {len(table.rows)} × {_width(table.rows)}",
            }
            for page in opened.read(wanted)
            for number, table in enumerate(page.tables)
            if table.rows
        ]
        last = wanted[-1] if wanted else opened.pages
        return {"tables": found, "read": last, "more": last + 1 if last < opened.pages else None}


def _page_table(session: ChatSession, rest: str) -> tuple[list[str], list[Any]] | None:
    from qwenbelt.tools.documents.citations import cited_page

    name, page, number = rest.rsplit(":", 2) if rest.count(":") >= 2 else ("", "", "")
    path = session.file(name)
    if path is None or not (page.isdigit() and number.isdigit()):
        return None
    read = cited_page(path.parent, path.name, int(page))
    if read is None or int(number) >= len(read.tables):
        return None
    head, *rows = read.tables[int(number)].rows
    width = _width([head, *rows])
    names = [cell or f"{at}" for at, cell in enumerate(head, 1)]
    names += [str(at) for at in range(len(names) + 1, width + 1)]
    return [" ".join(name.split()) for name in names], rows


def _width(rows: list[list[str]]) -> int:
    return max((len(row) for row in rows), default=0)
