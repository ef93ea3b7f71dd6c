"""Forms that servers ask people to fill in: what they may ask, and values as they take them.

`form_fields` reads every kind of field that the specification has, in its newest form and the older
ones; faces (terminal, browser) draw them, `form_values` and `form_faults` check what people gave.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from qwenbelt.core.language import Language
from qwenbelt.tools.mcp.strings import say

FieldKind = Literal["text", "number", "integer", "boolean", "choice", "choices"]

# a form is no place for these: the protocol has its URL mode for them
_SECRET = re.compile(
    r"pass(word|phrase|wd|code)|secret|api[_-]?key|access[_-]?token|private[_-]?key|credential"
    r"|card[_-]?number|\bcvv\b|\bpin\b|密码|口令|密钥",
    re.IGNORECASE,
)
_YES = ("true", "yes", "y", "on", "1", "是", "好")
_NO = ("false", "no", "n", "off", "0", "否", "不")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class FormField:
    """One field of a form.

    Attributes:
        options: what may be chosen, each with what to show for it.
        default: what is taken where nothing is given; None for nothing.
        format: of a text: "email", "uri", "date", "date-time" or "".
        least, most: bounds of a number, of a text's length, or of how many are chosen.
    """

    name: str
    kind: FieldKind
    title: str
    description: str = ""
    required: bool = False
    default: Any = None
    options: tuple[tuple[str, str], ...] = ()
    format: str = ""
    pattern: str = ""
    least: float | None = None
    most: float | None = None
    schema: Mapping[str, Any] = field(default_factory=dict, repr=False)


def form_fields(schema: Mapping[str, Any]) -> list[FormField]:
    """Returns the fields of a form, in its order."""
    required = schema.get("required")
    needed = set(required) if isinstance(required, list) else set()
    properties = schema.get("properties") or {}
    return [
        _form_field(str(name), given if isinstance(given, Mapping) else {}, name in needed)
        for name, given in properties.items()
    ]


def _form_field(name: str, given: Mapping[str, Any], required: bool) -> FormField:
    kinds = given.get("type")
    kind = next((k for k in kinds if k != "null"), "") if isinstance(kinds, list) else kinds
    items = given.get("items") if isinstance(given.get("items"), Mapping) else {}
    options = _field_options(items if kind == "array" and isinstance(items, Mapping) else given)
    if kind == "array":
        own, bounds = "choices", ("minItems", "maxItems")
    elif options:
        own, bounds = "choice", ("", "")
    elif kind in ("number", "integer", "boolean"):
        own, bounds = str(kind), ("minimum", "maximum")
    else:
        own, bounds = "text", ("minLength", "maxLength")
    least, most = (_number(given.get(bound)) for bound in bounds)
    return FormField(
        name,
        own,  # type: ignore[arg-type]
        str(given.get("title") or name),
        str(given.get("description") or ""),
        required,
        given.get("default"),
        options,
        str(given.get("format") or ""),
        str(given.get("pattern") or ""),
        least,
        most,
        given,
    )


def _field_options(given: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    for key in ("oneOf", "anyOf"):  # with titles
        parts = given.get(key)
        if isinstance(parts, list) and parts and all(_is_const(part) for part in parts):
            return tuple((str(p["const"]), str(p.get("title") or p["const"])) for p in parts)
    values = given.get("enum")
    if not isinstance(values, list):
        return ()
    names = given.get("enumNames")  # of 2025-06-18
    titles = names if isinstance(names, list) and len(names) == len(values) else values
    return tuple((str(v), str(t)) for v, t in zip(values, titles, strict=True))


def _is_const(part: object) -> bool:
    return isinstance(part, Mapping) and "const" in part


def _number(value: object) -> float | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number else None  # type: ignore[arg-type]


def asks_for_secrets(schema: Mapping[str, Any]) -> bool:
    """Returns whether a form asks for passwords, keys or card numbers."""
    for name, given in (schema.get("properties") or {}).items():
        about = given if isinstance(given, Mapping) else {}
        said = [str(about.get(key) or "") for key in ("title", "description", "format")]
        if any(_SECRET.search(text) for text in (str(name), *said)):
            return True
    return False


def form_values(values: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of the form's own fields, of the fields' types where they can be read so.

    Fields that were left out get their defaults.
    """
    found = {}
    for one in form_fields(schema):
        value = values.get(one.name)
        value = one.default if value is None else _typed_value(one, value)
        if value is not None:
            found[one.name] = value
    return found


def form_faults(
    values: Mapping[str, Any], schema: Mapping[str, Any], language: Language = "en"
) -> dict[str, str]:
    """Returns what is wrong with values as `form_values` gives them, by field."""
    found = {}
    for one in form_fields(schema):
        if one.name not in values:
            if one.required:
                found[one.name] = say("form_missing", language)
        elif fault := _fault_of_value(one, values[one.name], language):
            found[one.name] = fault
    return found


def _typed_value(one: FormField, value: Any) -> Any:
    if one.kind == "choices":
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, (list, tuple, set)):
            return value
        return [_chosen_option(one, str(part).strip()) for part in parts if str(part).strip()]
    if not isinstance(value, str):
        return int(value) if one.kind == "integer" and _is_whole(value) else value
    text = value.strip()
    if one.kind == "choice":
        return _chosen_option(one, text)
    if one.kind == "boolean" and text.lower() in _YES + _NO:
        return text.lower() in _YES
    try:
        if one.kind == "integer":
            return int(text)
        if one.kind == "number":
            return float(text)
    except ValueError:
        return value
    return value


def _is_whole(value: object) -> bool:
    return isinstance(value, float) and value.is_integer()


def _chosen_option(one: FormField, text: str) -> str:
    """Returns the value of an option that was given by its title or, else, its number."""
    values = [value for value, _ in one.options]
    if text in values:
        return text
    for value, title in one.options:
        if text.casefold() == title.casefold():
            return value
    if text.isdecimal() and 1 <= int(text) <= len(values):
        return values[int(text) - 1]
    return text


def _fault_of_value(one: FormField, value: Any, language: Language) -> str:
    if one.kind == "boolean":
        return "" if isinstance(value, bool) else say("form_boolean", language)
    if one.kind in ("number", "integer"):
        if not _is_number(value, one.kind):
            return say(f"form_{one.kind}", language)
        return _out_of_bounds(one, value, "form_number", language)
    if one.kind in ("choice", "choices"):
        chosen = value if one.kind == "choices" else [value]
        allowed = [v for v, _ in one.options]
        if not isinstance(chosen, list) or (allowed and any(c not in allowed for c in chosen)):
            titles = ", ".join(title for _, title in one.options)
            return say("form_choice", language, options=titles)
        return _out_of_bounds(one, len(chosen), "form_count", language)
    if not isinstance(value, str):
        return say("form_text", language)
    if not _has_format(one.format, value):
        return say("form_format", language, format=one.format)
    return _out_of_bounds(one, len(value), "form_length", language)


def _is_number(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (
        kind == "number" and isinstance(value, float) and math.isfinite(value)
    )


def _out_of_bounds(one: FormField, size: float, key: str, language: Language) -> str:
    if one.least is not None and size < one.least:
        return say(f"{key}_least", language, bound=f"{one.least:g}")
    if one.most is not None and size > one.most:
        return say(f"{key}_most", language, bound=f"{one.most:g}")
    return ""


def _has_format(name: str, text: str) -> bool:
    if name == "email":
        return _EMAIL.fullmatch(text) is not None
    try:
        if name == "uri":
            return bool(urlsplit(text).scheme) and " " not in text
        if name == "date":
            return bool(_DATE.fullmatch(text) and datetime.date.fromisoformat(text))
        if name == "date-time":
            plain = re.sub(r"[Zz]$", "+00:00", text)
            plain = re.sub(r"\.(\d{1,6})\d*", lambda m: "." + m[1].ljust(6, "0"), plain)
            return (
                "T" in plain.upper() and datetime.datetime.fromisoformat(plain).tzinfo is not None
            )
    except ValueError:
        return False
    return True
