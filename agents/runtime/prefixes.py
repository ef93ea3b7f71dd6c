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
        self._wire: Sequence[Any] = ()
        self._sent: list[bytes] = []
        self._sent_bytes = 0

    def repeated(
        self, tools: Sequence[Mapping[str, Any]], wire: Sequence[Any], encoded: Mapping[int, bytes]
    ) -> float:
        """Returns which share of a request the one before has in its beginning.

        Args:
            tools: the declared ones.
            wire: the messages; the same list only grows, and another one is sent when any changes.
            encoded: the bytes of each message, by its `id`.
        """
        changed = tools is not self._tools and list(tools) != list(self._tools)
        first = not self._sent
        if changed and not first:
            self._emit(
                Notice(TOOLS_CHANGED[self._language].format(names=_difference(self._tools, tools)))
            )
        if changed:
            self._tools_bytes = sum(len(compact_json(tool)) for tool in tools)
        self._tools = tools
        same = self._followed(wire, encoded)
        if changed or first:
            return 0.0
        whole = self._tools_bytes + self._sent_bytes
        return round((self._tools_bytes + same) / whole, 3) if whole else 0.0

    def _followed(self, wire: Sequence[Any], encoded: Mapping[int, bytes]) -> int:
        """Keeps what is sent now; returns how many bytes of it were sent before, in order."""
        grown = wire is self._wire and len(wire) >= len(self._sent)
        new = [encoded[id(message)] for message in (wire[len(self._sent) :] if grown else wire)]
        added = sum(map(len, new))
        self._wire = wire
        if grown:  # a long run looks at what is new only
            same = self._sent_bytes
            self._sent += new
            self._sent_bytes += added
            return same
        same = 0
        for before, now in zip(self._sent, new, strict=False):
            if before is not now and before != now:
                break
            same += len(now)
        self._sent, self._sent_bytes = new, added
        return same


def _difference(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> str:
    old, new = ({_name(tool): tool for tool in tools} for tools in (before, now))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return ", ".join(names[:4]) + (" …" if len(names) > 4 else "") or "order"


def _name(tool: Mapping[str, Any]) -> str:
    return str((tool.get("function") or tool).get("name"))
