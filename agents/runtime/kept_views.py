"""What the model was sent in place of a conversation, for the next turn of the same one.

Passages stand beside a question, and a compaction shortens what came before, but who asks the next
question hands in the conversation as people see it. If it were sent so, the request would not begin
as the one before did, and the endpoint's cache would be lost each turn. So the form that was sent
is remembered, by what people see of it, and used again until a compaction makes a new one.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qwenbelt.agents.models.encoding import text_of

ASKED = "asked"  # in a message's `extra`: the question alone, beside which passages were put
SHOWN = "shown"  # passages beside it: number, file, page and text of each
UNKNOWN = "unknown_words"  # of the question, that no page of the files has
LINES = "shown_lines"  # remarks on data files that stand beside it
ALONE = "alone"  # the same with all passages, where some are only referred to
_MOST = 64  # conversations
_KEYS = ("role", "function_call")  # an agent's own name may be put to its replies
_NOT_KEPT = ("shortened_from", "kept_as")  # a compaction's own notes


class KeptViews:
    """The conversations of an agent, in the form in which they were sent; the oldest go."""

    def __init__(self) -> None:
        self._views: dict[str, tuple[list[dict[str, Any]], list[str]]] = {}
        self._lock = threading.Lock()

    def restored(
        self, messages: Sequence[dict[str, Any]], untrusted: list[str]
    ) -> list[dict[str, Any]]:
        """Returns a conversation with its beginning as it was sent, where that is known.

        Args:
            messages: as people see them.
            untrusted: gets the passages that are put in.
        """
        if not self._views:
            return list(messages)
        system, rest = _apart(messages)
        with self._lock:
            known = [(n, self._views[k]) for n, k in _keys(rest) if k in self._views]
        if not known:
            return [*system, *rest]
        count, (view, passages) = known[-1]
        untrusted += passages
        return [*system, *view, *rest[count:]]

    def keep(
        self,
        messages: Sequence[dict[str, Any]],
        sent: Sequence[dict[str, Any]],
        untrusted: Sequence[str],
    ) -> None:
        """Remembers how messages were sent.

        Args:
            messages: as people see them.
            sent: as the model saw them.
            untrusted: which parts of those come from documents.
        """
        _, rest = _apart(messages)
        _, view = _apart(sent)
        if view == rest:
            return
        keys = [key for _, key in _keys(rest)]
        if not keys:
            return
        bare = [{k: v for k, v in one.items() if k not in _NOT_KEPT} for one in view]
        with self._lock:
            self._views.pop(keys[-1], None)
            self._views[keys[-1]] = (bare, list(untrusted))
            while len(self._views) > _MOST:
                del self._views[next(iter(self._views))]

    def rename(self, messages: Sequence[dict[str, Any]], shown: Sequence[dict[str, Any]]) -> None:
        """Remembers that a conversation is shown to people in another form."""
        passages: list[str] = []
        self.keep(shown, self.restored(messages, passages), passages)


def _apart(
    messages: Sequence[dict[str, Any]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    start = next((n for n, m in enumerate(messages) if m["role"] != "system"), len(messages))
    return list(messages[:start]), list(messages[start:])


def _keys(messages: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    """Yields for each beginning of a conversation how long it is, and its name."""
    digest = hashlib.sha256()
    for count, message in enumerate(messages, 1):
        told = {key: message[key] for key in _KEYS if message.get(key)}
        content = message.get("content")
        if isinstance(content, list):
            parts = [p if isinstance(p, dict) else p.model_dump(exclude_none=True) for p in content]
            content = text_of(content) if all(set(p) == {"text"} for p in parts) else parts
        digest.update(json.dumps([told, content], sort_keys=True, default=str).encode())
        yield count, digest.hexdigest()
