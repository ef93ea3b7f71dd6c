"""Reading a vision model's answer, however bad: repaired where safe, reported where not."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from qwenbelt.core.errors import InputError, one_line
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.tools.images.picture_size import Convention, Size
from qwenbelt.workflows.inspection.coordinates import (
    BBox,
    inside_picture,
    overlap_share,
    to_original,
)
from qwenbelt.workflows.inspection.rules import UNSURE, Found, Rules

SAME = 0.85  # two boxes of one class that overlap so much are the same object
_FENCE = re.compile(r"```(?:json)?\s*(.*?)(?:```|\Z)", re.S | re.I)
_OBJECT = re.compile(r"\{[^{}]*\}")
_BOX_NAMES = ("bbox_2d", "bbox", "box_2d", "box", "coordinates")
_GRADE_NAMES = ("sub_label", "sublabel", "grade", "level", "status")


@dataclass(frozen=True)
class InspectionAnswer:
    """The objects of an answer, in original pixels, and what had to be done to read it."""

    objects: tuple[Found, ...]
    notes: tuple[str, ...]


def read_answer(
    text: str,
    rules: Rules,
    convention: Convention,
    sent: Size,
    original: Size,
) -> InspectionAnswer:
    """Returns the objects of a model's answer.

    Args:
        text: the answer as it came.
        rules: which labels and grades exist, and how many objects there may be.
        convention: what the numbers of its boxes mean.
        sent: size of the picture that was sent.
        original: size of the upright original.

    Raises:
        InputError: nothing of it can be read as a list of objects.
    """
    notes: list[str] = []
    entries = list(_answer_entries(text, notes))
    found: list[Found] = []
    for number, entry in enumerate(entries, 1):
        read = _found_object(entry, rules, convention, sent, original, notes, number)
        if read is None:
            continue
        if any(o.label == read.label and overlap_share(o.bbox, read.bbox) >= SAME for o in found):
            notes.append(f"object {number}: a double of an earlier box, left out")
            continue
        found.append(read)
    if len(found) > rules.max_objects:
        notes.append(f"{len(found) - rules.max_objects} objects over the limit left out")
        found = found[: rules.max_objects]
    if entries and not found and notes:
        raise InputError(f"No object of the answer can be used: {one_line('; '.join(notes), 300)}")
    return InspectionAnswer(tuple(found), tuple(notes))


def _answer_entries(text: str, notes: list[str]) -> Iterator[Mapping[str, Any]]:
    body = text.strip()
    fenced = _FENCE.search(body)
    if fenced and fenced.group(1).strip():
        body = fenced.group(1).strip()
    value = _parsed(body, notes)
    if isinstance(value, Mapping):
        inner = next((v for v in value.values() if isinstance(v, list)), None)
        is_object = any(name in value for name in _BOX_NAMES)
        value = (
            [value] if is_object else inner if inner is not None else ([] if not value else None)
        )
    if not isinstance(value, list):
        raise InputError(f"The answer is not a list of objects: {one_line(text, 120) or '(empty)'}")
    for number, entry in enumerate(value, 1):
        if isinstance(entry, Mapping):
            yield entry
        else:
            notes.append(f"object {number}: not an object, left out")


def _parsed(body: str, notes: list[str]) -> Any:
    starts = [p for p in (body.find("["), body.find("{")) if p >= 0]
    if not starts:
        return None
    start = min(starts)
    try:
        value, end = json.JSONDecoder(strict=False).raw_decode(body[start:])
    except json.JSONDecodeError:
        return _repaired_entries(body[start:], notes)
    rest = body[start + end :].strip()
    if isinstance(value, Mapping) and rest.startswith((",", "{")):
        return _repaired_entries(body[start:], notes)
    return value


def _repaired_entries(body: str, notes: list[str]) -> Any:
    """Returns the whole objects of a broken or cut-off list; a half-written one is dropped."""
    import json_repair

    whole = []
    for found in _OBJECT.finditer(body):
        try:
            value = loads_bounded(found.group(), strict=False)
        except json.JSONDecodeError:
            value = json_repair.loads(found.group())
        if isinstance(value, Mapping):
            whole.append(value)
    if not whole:
        return None
    notes.append("the answer was cut off or not valid JSON; its whole objects were read")
    return whole


def _found_object(
    entry: Mapping[str, Any],
    rules: Rules,
    convention: Convention,
    sent: Size,
    original: Size,
    notes: list[str],
    number: int,
) -> Found | None:
    label = _entry_label(entry, rules)
    if label is None:
        shown = one_line(str(entry.get("label") or entry.get("class") or ""), 40)
        notes.append(f"object {number}: unknown label {shown!r}, left out")
        return None
    raw = _entry_box(entry)
    if raw is None:
        notes.append(f"object {number}: no box of four numbers, left out")
        return None
    mapped = to_original(raw, convention, sent, original)
    bbox = inside_picture(mapped, original)
    if bbox is None:
        notes.append(f"object {number}: its box lies outside the picture, left out")
        return None
    if any(abs(a - b) > 0.5 for a, b in zip(bbox, _ordered_corners(mapped), strict=True)):
        notes.append(f"object {number}: its box was cut to the picture")
    grade = _entry_grade(entry, label, rules, notes, number)
    return Found(bbox, label, grade, one_line(str(entry.get("reason") or ""), 200))


def _ordered_corners(bbox: BBox) -> BBox:
    x1, x2 = sorted((bbox[0], bbox[2]))
    y1, y2 = sorted((bbox[1], bbox[3]))
    return x1, y1, x2, y2


def _key(value: object) -> str:
    return re.sub(r"[\s_\-]+", " ", str(value)).strip().lower()


def _entry_label(entry: Mapping[str, Any], rules: Rules) -> str | None:
    given = _key(entry.get("label") or entry.get("class") or entry.get("name") or "")
    for label, rule in rules.classes.items():
        if given and given in (_key(label), _key(rule.zh), _key(label) + "s"):
            return label
    return None


def _entry_grade(
    entry: Mapping[str, Any], label: str, rules: Rules, notes: list[str], number: int
) -> str:
    rule = rules.classes[label]
    given = next((entry[name] for name in _GRADE_NAMES if entry.get(name)), "")
    if not rule.grades:
        return ""
    for grade in rule.grades:
        if _key(given) in (_key(grade), _key(rule.grades_zh.get(grade, grade))):
            return grade
    fallback = UNSURE if UNSURE in rule.grades else rule.grades[-1]
    notes.append(f"object {number}: grade {one_line(given, 30)!r} taken as {fallback!r}")
    return fallback


def _entry_box(entry: Mapping[str, Any]) -> BBox | None:
    value = next((entry[name] for name in _BOX_NAMES if name in entry), None)
    if isinstance(value, str):
        value = re.findall(r"-?\d+(?:\.\d+)?", value)
    if isinstance(value, list) and len(value) == 2 and all(isinstance(p, list) for p in value):
        value = [*value[0], *value[1]]  # two corner points
    if not isinstance(value, list) or len(value) != 4:
        return None
    try:
        x1, y1, x2, y2 = (float(number) for number in value)
    except (TypeError, ValueError):
        return None
    return (x1, y1, x2, y2) if all(map(math.isfinite, (x1, y1, x2, y2))) else None
