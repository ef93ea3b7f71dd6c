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
from itertools import accumulate
from typing import Any

MAX_BYTES = 32 * 1024 * 1024
MAX_DEPTH = 100  # what walks a value takes some frames a level, and Python allows 1000 in all
MAX_REPAIR = 256 * 1024  # characters; json_repair looks at each of them in Python
# a string that is never closed runs to the end, so that every character is looked at once
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.S)
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_OTHERS = bytes(set(range(256)) - set(b"[{]}"))


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
        max_depth: how many arrays and objects may stand inside each other.
        strict: whether control characters inside strings are refused, as JSON has it.

    Raises:
        json.JSONDecodeError: it is not JSON; `JsonRefused` where it is beyond a bound.
    """
    if len(text) > max_bytes:
        raise JsonRefused(f"More than {max_bytes} bytes", "", 0)
    if is_deeper(text, max_depth):
        raise JsonRefused(f"Nested more than {max_depth} levels deep", "", 0)
    try:
        return json.loads(text, strict=strict)
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


def repaired(text: str, *, max_depth: int = MAX_DEPTH) -> Any:
    """Returns the value of text that is nearly JSON; None where nothing can be made of it.

    It guesses: only for text that is known to be whole, or the guess is another value.
    """
    if len(text) > MAX_REPAIR or is_deeper(text, max_depth):
        return None
    import json_repair

    try:
        return json_repair.loads(text)
    except (ValueError, RecursionError):
        return None
