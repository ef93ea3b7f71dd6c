"""Matchers: what a value must be like. A plain value matches what is equal to it.

| Python | YAML | matches |
|---|---|---|
| `contains("a", "b")` | `{contains: [a, b]}` | a text or list that holds all of them |
| `regex("a+")` | `{regex: a+}` | a text in which the pattern is found |
| `approx(4.05, within=0.1)` | `{approx: 4.05, within: 0.1}` | a number, or a text that holds one |
| `subset({"a": 1})` | `{subset: {a: 1}}` | a mapping with at least these entries |
| `equals({"a": 1})` | `{equals: {a: 1}}` | this value and nothing more |
| `one_of("a", "b")` | `{one_of: [a, b]}` | any of these |
| `every(a, b)` | `{all: [...]}` | all of these |
| `no(contains("x"))` | `{not: {contains: x}}` | what the inner one does not match |
| `anything` | `{any: true}` | any value that is there |
| `ignore` | `{ignore: true}` | any value, or none |
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qwenbelt.core.errors import InputError, one_line
from qwenbelt.testing.errors import did_you_mean

_NUMBER = re.compile(r"[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
MISSING = type("Missing", (), {"__repr__": lambda self: "nothing"})()


def shown_value(value: Any, limit: int = 160) -> str:
    """Returns a value as failures show it: one line, shortened."""
    if isinstance(value, Matcher):
        return value.text
    if isinstance(value, (dict, list)):
        return one_line(json.dumps(value, ensure_ascii=False, default=repr), limit)
    return one_line(repr(value), limit)


@dataclass(frozen=True)
class Matcher:
    """A condition on a value.

    Attributes:
        text: the condition in words, for failures.
        check: returns None when the value fits, else why it does not.
        optional: whether an absent value fits too.
    """

    text: str
    check: Callable[[Any], str | None]
    optional: bool = False

    def __repr__(self) -> str:
        return self.text


def describe_difference(wanted: Any, value: Any) -> str | None:
    """Returns None when `value` fits `wanted`, else the first difference in words."""
    if isinstance(wanted, Matcher):
        if value is MISSING:
            return None if wanted.optional else f"nothing there, wanted {wanted.text}"
        return wanted.check(value)
    if isinstance(wanted, Mapping) and isinstance(value, Mapping):
        return _mapping_difference(wanted, value, closed=True)
    if _is_list(wanted) and _is_list(value):
        return _list_difference(wanted, value)
    if wanted == value and isinstance(wanted, bool) == isinstance(value, bool):
        return None
    return f"{shown_value(value)} is not {shown_value(wanted)}"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _mapping_difference(
    wanted: Mapping[Any, Any], value: Mapping[Any, Any], *, closed: bool
) -> str | None:
    for key, inner in wanted.items():
        reason = describe_difference(inner, value.get(key, MISSING))
        if reason:
            return f"{key}: {reason}"
    extra = [key for key in value if key not in wanted] if closed else []
    if extra:
        return f"{extra[0]}: {shown_value(value[extra[0]])} is there and was not expected"
    return None


def _list_difference(wanted: Sequence[Any], value: Sequence[Any]) -> str | None:
    for i, inner in enumerate(wanted):
        reason = describe_difference(inner, value[i] if i < len(value) else MISSING)
        if reason:
            return f"[{i}]: {reason}"
    if len(value) > len(wanted):
        return f"[{len(wanted)}]: {shown_value(value[len(wanted)])} is there and was not expected"
    return None


def contains(*parts: Any) -> Matcher:
    """A text that has all parts, or a list or mapping that has them."""

    def check(value: Any) -> str | None:
        if not isinstance(value, (str, Mapping)) and not _is_list(value):
            return f"{shown_value(value)} cannot hold {shown_value(parts[0])}"
        for part in parts:
            wanted = str(part) if isinstance(value, str) else part
            if wanted not in value:
                return f"{shown_value(wanted)} is not in {shown_value(value)}"
        return None

    return Matcher("contains " + " and ".join(shown_value(part) for part in parts), check)


def regex(pattern: str) -> Matcher:
    """A text in which the pattern is found."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"The pattern {pattern!r} is not valid ({error}).") from error

    def check(value: Any) -> str | None:
        if isinstance(value, str) and compiled.search(value):
            return None
        return f"/{pattern}/ is not found in {shown_value(value)}"

    return Matcher(f"matches /{pattern}/", check)


def approx(number: float, within: float | None = None) -> Matcher:
    """A number, or a text holding a number, no farther off than `within` (one in a million)."""
    room = abs(number) * 1e-6 if within is None else within

    def check(value: Any) -> str | None:
        found = [value] if isinstance(value, (int, float)) else _numbers_in(value)
        if any(abs(each - number) <= room for each in found):
            return None
        near = min(found, key=lambda each: abs(each - number), default=None)
        return f"no number within {room:g} of {number:g}" + (
            f"; the nearest is {near:g}" if near is not None else f" in {shown_value(value)}"
        )

    return Matcher(f"about {number:g}", check)


def _numbers_in(value: Any) -> list[float]:
    if not isinstance(value, str):
        return []
    return [float(found.replace(",", "")) for found in _NUMBER.findall(value)]


def subset(entries: Mapping[str, Any]) -> Matcher:
    """A mapping with at least these entries; each may be a matcher."""

    def check(value: Any) -> str | None:
        if not isinstance(value, Mapping):
            return f"{shown_value(value)} is not a mapping"
        return _mapping_difference(entries, value, closed=False)

    return Matcher(f"at least {shown_value(dict(entries))}", check)


def equals(value: Any) -> Matcher:
    """Exactly this value; for the arguments of a call, no others may be there."""
    return Matcher(shown_value(value), lambda given: describe_difference(value, given))


def one_of(*choices: Any) -> Matcher:
    """Any of the choices; each may be a matcher."""

    def check(value: Any) -> str | None:
        if any(describe_difference(choice, value) is None for choice in choices):
            return None
        return f"{shown_value(value)} is none of {', '.join(shown_value(c) for c in choices)}"

    return Matcher("one of " + ", ".join(shown_value(choice) for choice in choices), check)


def every(*conditions: Any) -> Matcher:
    """All of the conditions."""

    def check(value: Any) -> str | None:
        return next((why for c in conditions if (why := describe_difference(c, value))), None)

    return Matcher(" and ".join(shown_value(c) for c in conditions), check)


def no(condition: Any) -> Matcher:
    """What the condition does not match."""

    def check(value: Any) -> str | None:
        if describe_difference(condition, value) is not None:
            return None
        return f"{shown_value(value)} should not be {shown_value(condition)}"

    return Matcher(f"not {shown_value(condition)}", check)


anything = Matcher("anything", lambda value: None)
ignore = Matcher("ignored", lambda value: None, optional=True)


def _matcher_of_several(
    make: Callable[..., Matcher],
) -> Callable[[Any, Mapping[str, Any]], Matcher]:
    return lambda value, rest: make(*(value if isinstance(value, list) else [value]))


def _inner_matcher(make: Callable[..., Matcher]) -> Callable[[Any, Mapping[str, Any]], Matcher]:
    def build(value: Any, rest: Mapping[str, Any]) -> Matcher:
        values = value if isinstance(value, list) else [value]
        return make(*(matcher_of(each) for each in values))

    return build


def _approximately(value: Any, rest: Mapping[str, Any]) -> Matcher:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise InputError(f"`approx` needs a number, not {value!r}.")
    return approx(value, rest.get("within"))


_FORMS: dict[str, Callable[[Any, Mapping[str, Any]], Matcher]] = {
    "contains": _matcher_of_several(contains),
    "regex": lambda value, rest: regex(str(value)),
    "approx": _approximately,
    "subset": lambda value, rest: subset({k: matcher_of(v) for k, v in value.items()}),
    "one_of": _inner_matcher(one_of),
    "all": _inner_matcher(every),
    "not": lambda value, rest: no(matcher_of(value)),
    "any": lambda value, rest: anything,
    "ignore": lambda value, rest: ignore,
    "equals": lambda value, rest: equals(
        matcher_of(value) if isinstance(value, list) else _values(value)
    ),
}


def _values(value: Any) -> Any:
    return {k: matcher_of(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def matcher_of(spec: Any) -> Any:
    """Returns the matcher that a YAML value describes; a plain value stays as it is.

    Raises:
        InputError: it looks like a matcher and is not one.
    """
    if isinstance(spec, list):
        return [matcher_of(entry) for entry in spec]
    if not isinstance(spec, Mapping):
        return spec
    heads = [key for key in spec if key in _FORMS]
    if not heads:
        return {key: matcher_of(value) for key, value in spec.items()}
    allowed = {heads[0], "within"} if heads[0] == "approx" else {heads[0]}
    extra = [key for key in spec if key not in allowed]
    if extra:
        hint = did_you_mean(str(extra[0]), _FORMS)
        raise InputError(f"`{heads[0]}` cannot stand beside {extra[0]!r}; use `all`.{hint}")
    if heads[0] == "subset" and not isinstance(spec["subset"], Mapping):
        raise InputError("`subset` needs a mapping.")
    return _FORMS[heads[0]](spec[heads[0]], spec)
