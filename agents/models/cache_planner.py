"""Places the marks of DashScope's explicit context cache where they pay.

A mark (`"cache_control": {"type": "ephemeral"}` on a part of a message) has everything up to it
kept for five minutes, and each hit renews it. Writing costs 125 % of the input price, a hit 10 %;
a request takes at most four marks, a cached prefix has at least 1024 tokens, and it is found from a
mark at most 20 content blocks behind it. What requests share without a mark may cost 20 %, which is
not guaranteed, and a request has the one or the other. Source: Model Studio, "Context cache",
read in 2026. Endpoints that refuse the field get none: see `EndpointModel.adapt`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qwenbelt.agents.models.deltas import JsonDict

FIELD = "cache_control"
MARK = {"type": "ephemeral"}
MOST_MARKS = 4
LEAST_TOKENS = 1024
LOOK_BACK = 20  # content blocks
LIFE_SECONDS = 300.0
_BYTES_A_TOKEN = 4  # Qwen's tokenizer, English and Chinese alike, on the safe side
_KEPT = 64  # system messages that are remembered
_LOST_WRITES = 2  # in a row, after which a question without tools is not marked
# families without an explicit cache; a new one is tried, and asked no more once it refuses
_WITHOUT = ("qwen-turbo", "qwen-long", "qwen-mt", "qwen-omni", "qwen2", "qwq", "qvq", "deepseek-r1")


def has_explicit_cache(dialect: str, model: str) -> bool:
    """Returns whether an endpoint is known to take marks for a model."""
    return dialect == "dashscope" and not model.lower().startswith(_WITHOUT)


class CachePlanner:
    """Marks the requests of one model; it remembers which of its marks can have paid.

    Args:
        clock: seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heads: dict[int, float] = {}  # when a system message was last sent
        self._written: float | None = None  # when the last prefix was written
        self._lost = 0

    def marked(self, body: JsonDict, *, goes_on: bool) -> list[JsonDict]:
        """Returns the body's messages with the marks that pay; the given ones are not changed.

        Args:
            body: a request's body.
            goes_on: whether another request is likely to begin with this one: tools may be called.
        """
        messages: list[JsonDict] = body["messages"]
        now = self._clock()
        head = _system_messages(messages)
        key = hash(json.dumps([body.get("tools"), messages[:head]], sort_keys=True, default=str))
        again = now - self._heads.get(key, -LIFE_SECONDS) < LIFE_SECONDS
        self._remember(key, now)
        sizes = [_estimated_tokens(message) for message in messages]
        sizes[0] += _estimated_tokens(body.get("tools") or [])
        answered = any(message.get("role") == "assistant" for message in messages)
        lives = self._written is not None and now - self._written < LIFE_SECONDS
        if self._written is not None and not lives:
            self._lost += 1  # the last one ended unread
            self._written = None
        if not goes_on:
            goes_on = answered and self._lost < _LOST_WRITES
        places: list[int] = []
        if head and sum(sizes[:head]) >= LEAST_TOKENS and (again or goes_on):
            places.append(head - 1)
        if sum(sizes) >= LEAST_TOKENS and (goes_on or lives):
            places += self._tail(messages, last=goes_on)
        places = [place for place in dict.fromkeys(places) if _can_be_marked(messages[place])]
        if not places:
            return messages
        self._written, out = now, list(messages)
        for place in places[:1] + places[1:][-(MOST_MARKS - 1) :]:
            out[place] = _with_mark(messages[place])
        return out

    def read(self, cached: int) -> None:
        """Notes how many tokens the endpoint reports as read from its cache."""
        if cached:
            self._lost = 0

    def _remember(self, key: int, now: float) -> None:
        self._heads.pop(key, None)
        self._heads[key] = now
        if len(self._heads) > _KEPT:
            del self._heads[next(iter(self._heads))]

    @staticmethod
    def _tail(messages: Sequence[JsonDict], *, last: bool) -> list[int]:
        """Returns the end of the request before, steps to the end of this one, and that end.

        Only what is within the look-back of a mark is found, so a reply with more results than
        that needs marks in between.
        """
        end = len(messages) - 1
        reply = next((n for n in range(end, -1, -1) if messages[n]["role"] == "assistant"), 0)
        known = _marked_before(messages, reply)
        if not last:
            return [known] if known is not None else []
        places, blocks = [end], 0
        for place in range(end, known if known is not None else reply, -1):
            blocks += _content_blocks(messages[place])
            if blocks >= LOOK_BACK - 2 and len(places) < MOST_MARKS - 1:
                places.insert(0, place)
                blocks = 0
        return places


def _system_messages(messages: Sequence[JsonDict]) -> int:
    """Returns how many system messages the conversation begins with."""
    return next((n for n, m in enumerate(messages) if m.get("role") != "system"), len(messages))


def _marked_before(messages: Sequence[JsonDict], reply: int) -> int | None:
    """Returns the message that ended the request before, which was marked if it could be."""
    places = range(reply - 1, -1, -1)
    return next((n for n in places if _can_be_marked(messages[n])), None)


def _can_be_marked(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    if isinstance(content, str):
        return bool(content)
    return isinstance(content, list) and bool(content) and content[-1].get("type") == "text"


def _with_mark(message: JsonDict) -> JsonDict:
    content = message["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    parts[-1] = {**parts[-1], FIELD: dict(MARK)}
    return {**message, "content": parts}


def _content_blocks(message: Mapping[str, Any]) -> int:
    content = message.get("content")
    return max(len(content), 1) if isinstance(content, list) else 1


def _estimated_tokens(value: Any) -> int:
    if isinstance(value, Mapping) and isinstance(value.get("content"), str):
        size = len(value["content"].encode("utf-8", "replace"))
        rest = {k: v for k, v in value.items() if k != "content"}
        return (size + len(json.dumps(rest, ensure_ascii=False, default=str))) // _BYTES_A_TOKEN
    return len(json.dumps(value, ensure_ascii=False, default=str).encode()) // _BYTES_A_TOKEN
