"""Watches whether each request of a run begins with all of the one before, as caches want it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qwenbelt.agents.models.codecs.base import compact_json
from qwenbelt.agents.prompts import TOOLS_CHANGED
from qwenbelt.core.events import Event, Notice
from qwenbelt.core.language import Language


class PrefixWatch:
    """What a run's last request held.

    Args:
        emit: takes a notice when the declared tools have changed. A compaction and another form of
            the conversation have events of their own.
        language: of the notice.
    """

    def __init__(self, emit: Callable[[Event], None], language: Language) -> None:
        self._emit = emit
        self._language = language
        self._tools: Sequence[Mapping[str, Any]] = ()
        self._tools_bytes = 0
        self._sent: list[bytes] = []

    def repeated(
        self, tools: Sequence[Mapping[str, Any]], wire: Sequence[Any], encoded: Mapping[int, bytes]
    ) -> float:
        """Returns which share of a request the one before has in its beginning."""
        before, sent = self._sent, [encoded[id(message)] for message in wire]
        changed = tools is not self._tools and list(tools) != list(self._tools)
        if changed and before:
            self._emit(
                Notice(TOOLS_CHANGED[self._language].format(names=_difference(self._tools, tools)))
            )
        if changed:
            self._tools_bytes = sum(len(compact_json(tool)) for tool in tools)
        self._tools, self._sent = tools, sent
        if changed or not before:
            return 0.0
        same = 0
        for old, new in zip(before, sent, strict=False):
            if old is not new and old != new:
                break
            same += len(new)
        whole = self._tools_bytes + sum(map(len, sent))
        return round((self._tools_bytes + same) / whole, 3) if whole else 0.0


def _difference(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> str:
    old, new = ({_name(tool): tool for tool in tools} for tools in (before, now))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return ", ".join(names[:4]) + (" …" if len(names) > 4 else "") or "order"


def _name(tool: Mapping[str, Any]) -> str:
    return str((tool.get("function") or tool).get("name"))
