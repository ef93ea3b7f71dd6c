"""Bills requests as endpoints do: what a prefix cache would have held of the bytes that came.

    dashscope   explicit: what requests mark is kept after the reply, for five minutes or until the
                next hit; what comes without marks falls back to the implicit cache
    implicit    DashScope's implicit cache, taken as if every hit were given
    vllm        blocks of 16 tokens, all kept
    none        nothing is kept

Tokens are counted as the server does elsewhere: four characters each.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

CHARACTERS_A_TOKEN = 4
BillKind = Literal["none", "dashscope", "implicit", "vllm"]
# share of the input price for what is read from a cache and for what is written to it
_PRICES = {"none": (1.0, 1.0), "dashscope": (0.1, 1.25), "implicit": (0.2, 1.0), "vllm": (1.0, 1.0)}
_LIFE_SECONDS = 300.0
_LEAST = {"dashscope": 1024, "implicit": 256, "vllm": 16}
_STEP = {"implicit": 64, "vllm": 16}
_LOOK_BACK = 20
MOST_MARKS = 4
_REMEMBERED = 64


@dataclass(frozen=True)
class Billed:
    """What a request cost.

    Attributes:
        input: tokens of the request.
        cached: those of them that a cache held.
        written: those of them that were put into an explicit cache.
        repeated: tokens that the longest earlier request and this one begin with.
        explicit: whether the request marked something.
        price: the request's input in tokens of the full price.
        keeps: the prefixes that the request marked, as `CacheBill` knows them.
    """

    input: int
    cached: int
    written: int
    repeated: int
    explicit: bool
    price: float
    keeps: tuple[str, ...] = field(default=(), repr=False)

    def usage(self, completion: int) -> dict[str, Any]:
        """Returns the token counts in the chat completions form, as DashScope reports them."""
        details = {"cached_tokens": self.cached}
        if self.explicit:
            details["cache_creation_input_tokens"] = self.written
        return {
            "prompt_tokens": self.input,
            "completion_tokens": completion,
            "total_tokens": self.input + completion,
            "prompt_tokens_details": details,
        }


class CacheBill:
    """The caches of one server.

    Args:
        kind: how is billed.
        clock: seconds that only go forward; five minutes without a hit end an explicit prefix.
    """

    def __init__(self, kind: BillKind, clock: Callable[[], float] = time.monotonic) -> None:
        self.kind = kind
        self._clock = clock
        self._kept: dict[str, float] = {}  # explicit prefixes: when they were last used
        self._sent: deque[str] = deque(maxlen=_REMEMBERED)  # texts of earlier requests

    def of(self, body: Mapping[str, Any], tokens: int | None = None) -> Billed:
        """Bills a request; `settle` keeps what it wrote once its reply was sent.

        Args:
            body: the request.
            tokens: of the whole request, if the scenario gives them.
        """
        blocks = list(_template_blocks(body))
        text = "".join(block.text for block in blocks)
        size = _token_count(text)
        scale = tokens / size if tokens and size else 1.0
        repeated = max(
            (_token_count(text[: _common_length(text, sent)]) for sent in self._sent), default=0
        )
        self._sent.append(text)
        marks = [n for n, block in enumerate(blocks) if block.marked][:MOST_MARKS]
        explicit = self.kind == "dashscope" and bool(marks)
        cached, written, keeps = (
            self._explicit(blocks, marks) if explicit else (self._implicit(repeated), 0, ())
        )
        hit, write = _PRICES[self.kind if explicit or self.kind != "dashscope" else "implicit"]
        price = size - cached - written + cached * hit + written * write
        return Billed(
            input=round(size * scale),
            cached=round(cached * scale),
            written=round(written * scale),
            repeated=round(repeated * scale),
            explicit=explicit,
            price=price * scale,
            keeps=keeps,
        )

    def settle(self, billed: Billed) -> None:
        """Keeps what a request marked: a cache is made after the reply."""
        now = self._clock()
        self._kept.update(dict.fromkeys(billed.keeps, now))

    def _explicit(self, blocks: list[_Block], marks: list[int]) -> tuple[int, int, tuple[str, ...]]:
        keys, sizes = _block_prefixes(blocks)
        now = self._clock()
        self._kept = {k: at for k, at in self._kept.items() if now - at < _LIFE_SECONDS}
        hits = [
            place
            for mark in marks
            for place in range(mark, max(mark - _LOOK_BACK, -1), -1)
            if keys[place] in self._kept
        ]
        found = max(hits, default=-1)
        if found >= 0:
            self._kept[keys[found]] = now
        cached = sizes[found] if found >= 0 else 0
        new = [mark for mark in marks if sizes[mark] >= _LEAST["dashscope"] and mark > found]
        written = sizes[new[-1]] - cached if new else 0
        return cached, written, tuple(keys[mark] for mark in new)

    def _implicit(self, repeated: int) -> int:
        kind = "implicit" if self.kind == "dashscope" else self.kind
        if kind == "none" or repeated < _LEAST[kind]:
            return 0
        return repeated // _STEP[kind] * _STEP[kind]


def bill_summary(billed: Sequence[Billed]) -> dict[str, Any]:
    """Returns requests, tokens, shares repeated and cached, and the price as a share."""
    total = sum(one.input for one in billed)
    share = {
        "repeated": sum(one.repeated for one in billed),
        "cached": sum(one.cached for one in billed),
        "written": sum(one.written for one in billed),
        "price": sum(one.price for one in billed),
    }
    shares = {name: f"{value / total:.2f}" if total else "0" for name, value in share.items()}
    return {"requests": len(billed), "tokens": total, **shares}


@dataclass(frozen=True)
class _Block:
    text: str
    marked: bool


def _template_blocks(body: Mapping[str, Any]) -> list[_Block]:
    """Returns a request as its template has it: tools and system message first, part by part."""
    out: list[_Block] = []
    tools = json.dumps(body.get("tools") or [], ensure_ascii=False)
    for number, message in enumerate(body.get("messages") or []):
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
        head = {k: v for k, v in message.items() if k != "content"}
        before = (tools if not number else "") + json.dumps(head, ensure_ascii=False)
        for part in parts:
            plain = {k: v for k, v in part.items() if k != "cache_control"}
            shown = plain["text"] if set(plain) == {"type", "text"} else json.dumps(plain)
            out.append(_Block(f"{before}{shown}\n", "cache_control" in part))
            before = ""
    return out


def _block_prefixes(blocks: list[_Block]) -> tuple[list[str], list[int]]:
    keys, sizes, so_far, length = [], [], hashlib.sha256(), 0
    for block in blocks:
        so_far.update(block.text.encode("utf-8", "replace"))
        length += len(block.text)
        keys.append(so_far.copy().hexdigest())
        sizes.append(length // CHARACTERS_A_TOKEN)
    return keys, sizes


def _token_count(text: str) -> int:
    return len(text) // CHARACTERS_A_TOKEN


def _common_length(one: str, other: str) -> int:
    """Returns how many characters two texts begin with alike."""
    low, high = 0, min(len(one), len(other))
    while low < high:  # of prefixes, so halving finds the first difference
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
