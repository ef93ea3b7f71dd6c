"""Numbers as people write them in tables: 1,234.5, (123), $4.2, 12 %, 3.2亿, — for none."""

from __future__ import annotations

import math
import re
import unicodedata

_BLANK = {
    "",
    "-",
    "--",
    "—",
    "–",
    "―",
    "−",
    ".",
    "..",
    "...",
    "…",
    "na",
    "n/a",
    "n.a.",
    "nm",
    "nan",
}
_BLANK |= {"null", "none", "nil", "*", "无", "不适用", "/"}
_CURRENCY = re.compile(r"^(?:US\$|HK\$|A\$|C\$|RMB|CNY|USD|EUR|GBP|JPY|[$€£¥₩₹])\s*", re.IGNORECASE)
_NUMBER = re.compile(
    r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+|\d+)?(?:\.\d*)?(?:[eE][+-]?\d{1,3})?"
)
_SCALES = {"万": 1e4, "萬": 1e4, "亿": 1e8, "億": 1e8}
_LONGEST = 64


def read_number(text: str) -> float | None:
    """Returns the number in a table cell, or None when the cell means "no value".

    Thousands separators, currency signs, percent signs (12% gives 12), accounting parentheses
    (negative), full-width digits and the Chinese units 万 and 亿 are understood.

    Raises:
        ValueError: the cell holds something else.
    """
    body = unicodedata.normalize("NFKC", text[: _LONGEST + 1]).strip()
    if body.casefold() in _BLANK:
        return None
    if len(text) > _LONGEST:
        raise ValueError("too long for a number")
    body = body.replace("−", "-").replace("–", "-")
    negative = body.startswith("(") and body.endswith(")")
    if negative:
        body = body[1:-1].strip()
    body, scale = _without_units(body)
    if not re.match(r"[+-]?\.?\d", body) or not _NUMBER.fullmatch(body):
        raise ValueError("not a number")
    value = float(body.replace(",", "").replace(" ", "")) * scale
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return -value if negative else value


def _without_units(body: str) -> tuple[str, float]:
    sign = ""
    if body[:1] in "+-":
        sign, body = body[:1], body[1:].lstrip()
    body = _CURRENCY.sub("", body)
    body = re.sub(r"\s*[%‰元]$", "", body)
    scale = _SCALES.get(body[-1:], 1.0)
    if scale != 1.0:
        body = body[:-1].rstrip()
    return sign + body, scale


def is_number(text: str) -> bool:
    """Returns whether a cell holds a number; a blank cell does not."""
    try:
        return read_number(text) is not None
    except ValueError:
        return False
