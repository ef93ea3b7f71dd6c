"""What a call that waits for approval would change, as a diff."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from html import escape
from typing import Any

from qwenbelt.core.jsons import loads_bounded

_MOST_LINES = 200
_OLD, _NEW = ("oldText", "old_text", "old"), ("newText", "new_text", "new")


def change_html(name: str, arguments: str) -> str:
    """Returns the lines that a call takes out of a file and puts in, or ""."""
    try:
        given = loads_bounded(arguments)
    except ValueError:
        return ""
    if not isinstance(given, dict):
        return ""
    lines = list(_lines(name, given))
    if not lines:
        return ""
    more = len(lines) - _MOST_LINES
    shown = "".join(
        f'<span class="{_KINDS.get(line[:1], "qb-same")}">{escape(line)}\n</span>'
        for line in lines[:_MOST_LINES]
    )
    rest = f"<span>… {more}</span>" if more > 0 else ""
    path = escape(str(given.get("path") or given.get("file") or ""))
    return (
        f'<figure class="qb-change"><figcaption>{path}</figcaption>'
        f'<pre tabindex="0">{shown}{rest}</pre></figure>'
    )


_KINDS = {"+": "qb-added", "-": "qb-gone", "@": "qb-dim"}


def _lines(name: str, given: dict[str, Any]) -> Iterator[str]:
    edits = given.get("edits")
    for edit in edits if isinstance(edits, list) else [given]:
        old, new = (_text(edit, names) for names in (_OLD, _NEW))
        if old is not None and new is not None:
            yield from list(
                difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=2)
            )[2:]
    content = given.get("content")
    if "write" in name and isinstance(content, str):
        yield from (f"+{line}" for line in content.splitlines())


def _text(edit: Any, names: tuple[str, ...]) -> str | None:
    found = (edit.get(name) for name in names if name in edit) if isinstance(edit, dict) else ()
    return next((text for text in found if isinstance(text, str)), None)
