"""Checks JSON values against schemas that come from outside: clients, MCP servers, files.

A schema is a program. `jsonschema` alone would fetch what a `$ref` names from the network, walk
references that go round until Python's stack ends, follow ten references at every level of a value
and hand patterns to an engine that takes exponential time. Here nothing is fetched, what a schema
refers to must be inside it, a check takes a bounded number of steps, and patterns are matched in
linear time (Rust's engine, which pydantic brings); those that need look-around or back references
are tried in a process of their own, which has a time limit.
"""

from __future__ import annotations

import functools
import json
import subprocess  # nosec B404
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from qwenbelt.core.errors import one_line
from qwenbelt.core.jsons import MAX_DEPTH

_STEPS = 20_000  # keywords looked at for one value, and
_STEPS_EACH = 50  # for every part of it
_PROCESSES = 20  # for patterns that only Python's engine takes
_DATA = frozenset(("enum", "const", "default", "examples", "example"))  # hold values, no schemas
_NAMES = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_SECONDS = 2.0  # for a pattern that only Python's engine takes
_MATCH = "import json,re,sys;p,t=json.load(sys.stdin);sys.exit(0 if re.search(p,t) else 9)"
_left: ContextVar[list[int]] = ContextVar("steps_left")


class SchemaUnusable(ValueError):
    """Nothing can be checked against the schema; one line says why."""


class _TooMuch(Exception):
    """A check took too many steps, or a pattern too long."""


class SchemaCheck:
    """Says how values differ from a schema; imports jsonschema, so make one late.

    Raises:
        SchemaUnusable: it is no JSON schema, refers to what is not in it, or is nested too deeply.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        from jsonschema.exceptions import SchemaError
        from jsonschema.validators import Draft202012Validator, validator_for
        from referencing.jsonschema import EMPTY_REGISTRY

        _look_through(schema)
        # `$schema` inside would choose a validator without our bounds
        draft = validator_for(schema, default=Draft202012Validator) if _known(schema) else None
        draft = draft or Draft202012Validator
        plain = _without_drafts(schema)
        try:
            draft.check_schema(plain)
        except SchemaError as error:
            raise SchemaUnusable(one_line(error.message, 200)) from None
        except RecursionError:
            raise SchemaUnusable("it is nested too deeply") from None
        self._validator = _bounded(draft)(plain, registry=EMPTY_REGISTRY)
        _resolve_all(plain, self._validator)

    def fault(self, value: Any) -> tuple[str, str] | None:
        """Returns the place and the kind of the most telling fault, or None for a value that fits.

        Args:
            value: what JSON holds.
        """
        from jsonschema.exceptions import best_match
        from referencing.exceptions import Unresolvable

        token = _left.set([_STEPS + _STEPS_EACH * _size(value)])
        try:
            error = best_match(self._validator.iter_errors(value))
        except RecursionError:
            return "", "the form refers to itself without end"
        except _TooMuch as reason:
            return "", str(reason)
        except Unresolvable as reason:
            return "", one_line(f"the form refers to what it does not hold ({reason})", 200)
        except (ArithmeticError, TypeError, ValueError) as reason:  # such as multipleOf: 0
            return "", one_line(f"the form cannot be checked ({reason})", 200)
        finally:
            _left.reset(token)
        if error is None:
            return None
        return ".".join(map(str, error.absolute_path)), one_line(error.message, 300)


def _known(schema: Mapping[str, Any]) -> bool:
    from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]

    name = schema.get("$schema")
    return isinstance(name, str) and (name in REGISTRY or name.rstrip("#") in REGISTRY)


def _look_through(schema: Any) -> None:
    """Looks at the depth of a schema without recursion.

    Raises:
        SchemaUnusable: it is deeper than is read from outside.
    """
    level, depth = [schema], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise SchemaUnusable("it is nested too deeply")
        inner = (n.values() if isinstance(n, Mapping) else n for n in level)
        level = [n for group in inner for n in group if isinstance(n, Mapping | list)]


def _size(value: Any) -> int:
    """Returns how many values a JSON value holds."""
    level, found = [value], 0
    while level:
        found += len(level)
        inner = (
            n.values() if isinstance(n, Mapping) else n for n in level if isinstance(n, dict | list)
        )
        level = [n for group in inner for n in group]
    return found


def subschemas(schema: Any) -> Iterator[dict[str, Any]]:
    """Yields a schema and all schemas inside it, but not the values that it holds."""
    if isinstance(schema, list):
        for entry in schema:
            yield from subschemas(entry)
    elif isinstance(schema, dict):
        yield schema
        for key, entry in schema.items():
            if key in _NAMES and isinstance(entry, Mapping):
                yield from subschemas(list(entry.values()))
            elif key not in _DATA:
                yield from subschemas(entry)


def _without_drafts(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_drafts(entry) for entry in schema]
    if not isinstance(schema, Mapping):
        return schema
    out: dict[str, Any] = {}
    for key, entry in schema.items():
        if key in _NAMES and isinstance(entry, Mapping):
            out[key] = {name: _without_drafts(one) for name, one in entry.items()}
        elif key != "$schema":
            out[key] = entry if key in _DATA else _without_drafts(entry)
    return out


def _resolve_all(schema: Any, validator: Any) -> None:
    """Looks up every reference of a schema.

    Raises:
        SchemaUnusable: one leads nowhere, out of the schema, or round in a circle.
    """
    from referencing.exceptions import Unresolvable

    for one in subschemas(schema):
        seen: list[str] = []
        while isinstance(one, Mapping) and isinstance(target := one.get("$ref"), str):
            if target in seen:
                raise SchemaUnusable(f"$ref {one_line(target, 80)!r} goes round in a circle")
            seen.append(target)
            try:
                # names that are relative to an inner `$id` are found when a value is checked
                one = validator._resolver.lookup(target).contents
            except Unresolvable:
                if target.startswith("#") or "$id" not in json.dumps(schema, default=str):
                    raise SchemaUnusable(
                        f"$ref {one_line(target, 80)!r} is not inside the schema"
                    ) from None
                break


@functools.cache
def _bounded(draft: Any) -> Any:
    """Returns a draft's validator that counts its steps and matches patterns in linear time."""
    import jsonschema.validators

    extend: Any = jsonschema.validators.extend
    ours = {
        **draft.VALIDATORS,
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    }
    ours.pop("format", None)  # a note, as the specification has it; some are slow to check
    if "unevaluatedProperties" in ours:
        ours["unevaluatedProperties"] = _unevaluated(ours["unevaluatedProperties"])
    return extend(draft, {name: _counted(check) for name, check in ours.items()})


def _counted(check: Callable[..., Any]) -> Callable[..., Any]:
    def counted(validator: Any, wanted: Any, value: Any, schema: Any) -> Any:
        left = _left.get(None)
        if left is not None:
            left[0] -= 1
            if left[0] < 0:
                raise _TooMuch("the form takes too long to check")
        return check(validator, wanted, value, schema)

    return counted


def _fault(message: str) -> Any:
    from jsonschema.exceptions import ValidationError

    return ValidationError(message)


def _pattern(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
    del schema
    if validator.is_type(value, "string") and not _matches(wanted, value):
        yield _fault(f"{value!r} does not match {wanted!r}")


def _pattern_properties(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
    del schema
    if not validator.is_type(value, "object"):
        return
    for pattern, inner in wanted.items():
        for name, entry in value.items():
            if _matches(pattern, name):
                yield from validator.descend(entry, inner, path=name, schema_path=pattern)


def _additional_properties(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
    if not validator.is_type(value, "object"):
        return
    patterns = schema.get("patternProperties", {})
    known = schema.get("properties", {})
    others = [n for n in value if n not in known and not any(_matches(p, n) for p in patterns)]
    if validator.is_type(wanted, "object"):
        for name in others:
            yield from validator.descend(value[name], wanted, path=name)
    elif not wanted and others:
        shown = ", ".join(repr(name) for name in others[:5])
        yield _fault(f"Additional properties are not allowed ({shown})")


def _unevaluated(check: Callable[..., Any]) -> Callable[..., Any]:
    def unevaluated(validator: Any, wanted: Any, value: Any, schema: Any) -> Any:
        if any("patternProperties" in one for one in subschemas(validator.schema)):
            raise _TooMuch("unevaluatedProperties beside patternProperties is not checked")
        return check(validator, wanted, value, schema)

    return unevaluated


def _matches(pattern: str, text: str) -> bool:
    linear = _linear(pattern)
    if linear is not None:
        return bool(linear.isinstance_python(text))
    left = _left.get(None)
    if left is not None:
        left[0] -= max(left[0] // 2, _STEPS // _PROCESSES)
        if left[0] < 0:
            raise _TooMuch("the form takes too long to check")
    try:
        done = subprocess.run(  # nosec B603
            [sys.executable, "-I", "-S", "-c", _MATCH],
            input=json.dumps([pattern, text]).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _TooMuch(f"the pattern {one_line(pattern, 80)!r} takes too long to check") from None
    return done.returncode == 0


@functools.lru_cache(256)
def _linear(pattern: str) -> Any:
    """Returns pydantic's check of a pattern by Rust's engine, None where that does not take it."""
    from pydantic_core import SchemaError, SchemaValidator, core_schema

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return SchemaValidator(
                core_schema.str_schema(pattern=pattern, regex_engine="rust-regex", strict=True)
            )
        except SchemaError:
            return None
