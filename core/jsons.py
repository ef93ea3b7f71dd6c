"""JSON from outside, read within bounds: models, endpoints, servers, kernels and clients send it.

`json.loads` alone is no guard. A few kilobytes of brackets end in a RecursionError, which no
`except ValueError` catches, and so does whatever walks the value afterwards; a number of a million
digits is a plain ValueError. Here everything that cannot be taken is one `JsonRefused`, which is a
`json.JSONDecodeError`, so code that is ready for bad JSON is ready for this too.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

MAX_BYTES = 32 * 1024 * 1024
MAX_DEPTH = 100  # what walks a value takes some frames a level, and Python allows 1000 in all
MAX_REPAIR = 256 * 1024  # characters; json_repair looks at each of them in Python
# a string that is never closed runs to the end, so that every character is looked at once
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.S)
_STRICT = json.JSONDecoder()
_LENIENT = json.JSONDecoder(strict=False)  # `json.loads` would make a new decoder for every text
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_OTHERS = bytes(set(range(256)) - set(b"[{]}"))

# the tokens of literals as Python and JSON write them; strings of three quotes come first
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>[rRuU]?(?:\"{3}(?:[^\\]|\\.)*?\"{3}|\'{3}(?:[^\\]|\\.)*?\'{3}
        |"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'))
    |(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)
    |(?P<word>[A-Za-z]+)
    |(?P<mark>[\[\](){},:])
    )""",
    re.S | re.X,
)
# a code point above the last one is no escape; what Python does not know stays as it is written
_ESCAPE = re.compile(
    r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4}|.)", re.S
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\n": "", "/": "/"}
_ESCAPES |= {mark: mark for mark in "\\\"'"}
_DOUBLED = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*"?)|\{\{|\}\}', re.S)
_WORDS = {"True": "true", "False": "false", "None": "null", "true": "true", "false": "false"}
_WORDS["null"] = "null"


class JsonRefused(json.JSONDecodeError):
    """The text is larger or deeper than is read, or has a value that Python cannot hold."""


def loads_bounded(
    text: str | bytes | bytearray,
    *,
    max_bytes: int = MAX_BYTES,
    max_depth: int = MAX_DEPTH,
    strict: bool = True,
) -> Any:
    """Returns the value of JSON text that is neither too large nor nested too deeply.

    Args:
        text: the text, or its UTF-8 bytes.
        max_bytes: of the text; characters are counted where it is a `str`.
        max_depth: how deep arrays and objects may be nested.
        strict: whether control characters inside strings are refused, as JSON has it.

    Raises:
        json.JSONDecodeError: it is not JSON; `JsonRefused` where it is beyond a bound.
    """
    if len(text) > max_bytes:
        raise JsonRefused(f"More than {max_bytes} bytes", "", 0)
    few = isinstance(text, str) and text.count("[") + text.count("{") <= max_depth
    if not few and is_deeper(text, max_depth):
        raise JsonRefused(f"Nested more than {max_depth} levels deep", "", 0)
    try:
        if isinstance(text, str):
            decoder = _STRICT if strict else _LENIENT
            if text.startswith("{"):  # each event of a stream: without the looks for spaces around
                value, end = decoder.raw_decode(text)
                if end == len(text):
                    return value
            return decoder.decode(text)
        if strict:
            return json.loads(text)
        return json.loads(text, strict=False)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        # bytes that are no UTF-8; a number with more digits than Python converts; a low stack
        raise JsonRefused(str(error) or "Cannot be read", "", 0) from None


def is_deeper(text: str | bytes | bytearray, max_depth: int) -> bool:
    """Says whether JSON text nests more arrays and objects than `max_depth`.

    In C at every size: some 5 ms for a megabyte, nothing where there are few brackets at all.
    """
    if isinstance(text, str):
        if text.count("[") + text.count("{") <= max_depth:
            return False
        raw = text.encode("utf-8", "replace")
    else:
        if text.count(b"[") + text.count(b"{") <= max_depth:
            return False
        raw = bytes(text)
    steps = array("b", _STRING.sub(b"", raw).translate(_STEPS, _OTHERS))
    return max(accumulate(steps), default=0) > max_depth


def loads_lenient(text: str) -> Any:
    """Returns the array or object of text that a model wrote; None where it is none.

    Accepts JSON with line ends in strings, what Python writes (`python_literal`), and doubled
    braces, `{{"name": "f"}}`, as the template of Qwen2.5-Coder shows them. Nothing is guessed:
    text that was cut off gives None.
    """
    for candidate in (text, *_with_single_braces(text.strip())):
        try:
            value = loads_bounded(candidate, strict=False)
        except json.JSONDecodeError:
            value = python_literal(candidate)
        if isinstance(value, (dict, list)):
            return value
    return None


def _with_single_braces(text: str) -> Iterator[str]:
    if not text.startswith("{{"):
        return
    if text.endswith("}}"):
        yield text[1:-1]
        yield _DOUBLED.sub(lambda found: found.group(1) or found.group()[:1], text)
    yield text[1:]  # closed once only


def repaired_json(text: str, *, max_depth: int = MAX_DEPTH) -> Any:
    """Returns the value of text that is nearly JSON; None when it cannot be repaired.

    It guesses: only for text that is known to be whole, or the guess is another value.
    """
    if len(text) > MAX_REPAIR or is_deeper(text, max_depth):
        return None
    import json_repair

    try:
        return json_repair.loads(text)
    except (ValueError, RecursionError):
        return None


def python_literal(text: str) -> Any:
    """Returns the array or object that text writes as Python does; None where it is none.

    Quotes of either kind and threefold ones, True, False and None, tuples, trailing commas. Models
    that saw much Python write `['a', 'b']`, and code in threefold quotes. The text is translated
    token by token, since Python's own parser is no place for hostile text.
    """
    out: list[str] = []
    position, end = 0, len(text.rstrip())
    if not text.lstrip()[:1] or text.lstrip()[0] not in "[{(" or end > MAX_REPAIR:
        return None
    while position < end:
        found = _TOKEN.match(text, position)
        if found is None:
            return None
        token = _json_token(found.lastgroup or "", found.group(found.lastgroup or 0))
        if token is None:
            return None
        if token in ("]", "}") and out and out[-1] == ",":
            out.pop()
        out.append(token)
        position = found.end()
    try:
        return loads_bounded(" ".join(out))
    except json.JSONDecodeError:
        return None


def _json_token(kind: str, text: str) -> str | None:
    if kind == "word":
        return _WORDS.get(text)
    if kind == "mark":
        return {"(": "[", ")": "]"}.get(text, text)
    if kind == "number":
        text = text.removeprefix("+")
        return f"0{text}" if text.startswith(".") else text.removesuffix(".")
    raw = text[0] in "rR"
    body = text.lstrip("rRuU")
    quotes = 3 if body[:3] in ('"""', "'''") else 1
    body = body[quotes:-quotes]
    return json.dumps(body if raw else _ESCAPE.sub(_unescaped, body))


def _unescaped(found: re.Match[str]) -> str:
    said = found.group(1)
    if said[0] in "xuU" and len(said) > 1:
        return chr(int(said[1:], 16))
    return _ESCAPES.get(said, found.group())
