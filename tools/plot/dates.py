"""Labels that are dates: as days, so that they are at their places in time."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence

_EPOCH = dt.datetime(1970, 1, 1)
_DAY = 86400.0
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(?P<name>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_TIME = r"(?:[T ]+(?P<h>\d{1,2}):(?P<min>\d{2})(?::(?P<s>\d{2})(?:[.,]\d+)?)?)?"
_ZONE = r"\s*(?:Z|[+-]\d{2}:?\d{2})?"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"(?P<y>\d{{4}})[-/.](?P<m>\d{{1,2}})[-/.](?P<d>\d{{1,2}}){_TIME}{_ZONE}",
        r"(?P<y>\d{4})[-/](?P<m>\d{1,2})",
        r"(?P<y>\d{4})\s*年\s*(?P<m>\d{1,2})\s*月(?:\s*(?P<d>\d{1,2})\s*[日号])?",
        r"(?P<y>\d{4})[\s-]*Q(?P<q>[1-4])",
        r"Q(?P<q>[1-4])[\s-]*(?P<y>\d{4})",
        r"(?P<y>\d{4})\s*年\s*第?\s*(?P<q>[1-4一二三四])\s*季度?",
        rf"(?P<d>\d{{1,2}})[\s.-]+{_MONTH}[\s,-]+(?P<y>\d{{4}})",
        rf"{_MONTH}\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<y>\d{{4}})",
        rf"{_MONTH}[\s,-]+(?P<y>\d{{4}})",
    )
)
_EUROPEAN = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})")  # the day or the month first


def days_of(labels: Sequence[str]) -> tuple[float, ...] | None:
    """Returns the labels as days since 1970, or None when not all of them are dates.

    A form whose order of day and month is ambiguous ("03/04/2024" alone) is no date.
    """
    if len(set(labels)) < 2:
        return None
    try:
        read = _european_reader(labels) or _date_of_label
        return tuple(((read(label) - _EPOCH).total_seconds()) / _DAY for label in labels)
    except (ValueError, OverflowError):
        return None


def _date_of_label(label: str) -> dt.datetime:
    text = label.strip()
    for form in _FORMS:
        found = form.fullmatch(text)
        if found:
            return _made(found.groupdict())
    raise ValueError(label)


def _made(parts: dict[str, str | None]) -> dt.datetime:
    if parts.get("q"):
        quarter = "1234".find(parts["q"] or "") + 1 or "一二三四".index(parts["q"] or "") + 1
        month = 3 * quarter - 2
    elif parts.get("name"):
        month = _MONTHS.index((parts["name"] or "")[:3].lower()) + 1
    else:
        month = int(parts["m"] or 1)
    hour, minute, second = (int(parts.get(name) or 0) for name in ("h", "min", "s"))
    year, day = int(parts["y"] or 0), int(parts.get("d") or 1)
    return dt.datetime(year, month, day, hour, minute, second)


def _european_reader(labels: Sequence[str]) -> Callable[[str], dt.datetime] | None:
    """Returns a reader for dates that end with the year, if one order fits all of them alone."""
    found = [_EUROPEAN.fullmatch(label.strip()) for label in labels]
    if not all(found):
        return None
    pairs = [(int(m[1]), int(m[3])) for m in found if m]
    first, second = max(a for a, _ in pairs), max(b for _, b in pairs)
    dotted = all(m[2] == "." for m in found if m)  # where dots are used, the day comes first
    if second > 12 >= first:
        order = (2, 0, 1)
    elif (first > 12 >= second) or (dotted and second <= 12):
        order = (2, 1, 0)
    else:
        raise ValueError("the order of day and month is not known")

    def read(label: str) -> dt.datetime:
        parts = [int(part) for part in re.split(r"[./-]", label.strip())]
        return dt.datetime(parts[order[0]], parts[order[1]], parts[order[2]])

    return read
