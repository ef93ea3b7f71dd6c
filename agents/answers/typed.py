"""Typed answers: the form that an answer must have, and how its text is read.

`answer=` takes whatever pydantic can check (models, dataclasses, TypedDicts, `list[Row]`, unions)
or a JSON schema. The form is given once, in the system message; an endpoint that constrains replies
does so where no tool is offered, since servers differ in what a schema does to tool calls (vLLM
constrains the call away, llama.cpp refuses both together).
"""

from __future__ import annotations

import contextlib
import copy
import json
import re
import sys
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from types import GenericAlias, UnionType
from typing import Any, Union

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from qwenbelt.agents.answers.cited import verify_all
from qwenbelt.agents.answers.prompts import ANSWER_FORM, ANSWER_REPAIR
from qwenbelt.core.errors import ConfigError, InputError, one_line
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.language import Language
from qwenbelt.core.limits import input_file
from qwenbelt.core.schema_check import SchemaCheck, SchemaUnusable, subschemas

CUT_OFF = "the answer: was cut off before its end; it must be shorter"
_NO_NUMBER = "holds a number that JSON has not: NaN, Infinity, or one of thousands of digits"
_STARTS = 50  # places in a text at which JSON may begin
WRAPPER = "answer"  # the field round a form that is no object; endpoints want objects
_FENCED = re.compile(r"```(?:json|JSON)?[ \t]*\n(.*?)```", re.DOTALL)
_DECODER = json.JSONDecoder()
_TAKES_TYPED_DICTS = sys.version_info >= (3, 12)  # pydantic does, typing's own


class DoesNotFit(ValueError):
    """The text is not JSON, or its value does not fit; one line names the field."""


class AnswerForm:
    """The form of a typed answer.

    Args:
        form: a type that pydantic can check, or a JSON schema as a dict.

    Attributes:
        schema: the JSON schema of what the model writes: always an object.

    Raises:
        ConfigError: it is neither.
    """

    def __init__(self, form: Any) -> None:
        self._adapter: TypeAdapter[Any] | None = None
        if isinstance(form, Mapping):
            schema = dict(form)
            self._check = _check_of(schema)
        else:
            if isinstance(form, (list, tuple)) and form:
                form = Union[tuple(form)]  # noqa: UP007 - [A, B]: one of them
            try:
                self._adapter = TypeAdapter(_checkable(form))
                schema = self._adapter.json_schema()
            except Exception as error:  # pydantic's errors of many kinds for a form it cannot take
                reason = one_line(error, 200)
                raise ConfigError(
                    f"answer={form!r} cannot be checked ({reason}).",
                    fix="Give a pydantic model, a dataclass, a TypedDict, a list of them, "
                    "or a JSON schema.",
                ) from error
        self._inner = schema
        self.wrapped = not _is_object(schema)
        self.schema = _wrapped(schema) if self.wrapped else schema

    def instruction(self, language: Language) -> str:
        """Returns the instructions about the form for the model."""
        schema = json.dumps(self.schema, ensure_ascii=False, separators=(",", ":"))
        return ANSWER_FORM[language].format(schema=schema)

    def repair(self, problem: str, language: Language) -> str:
        """Returns the message to the model about an answer that does not fit."""
        return ANSWER_REPAIR[language].format(problem=problem)

    def read(self, text: str) -> Any:
        """Returns the checked value of an answer.

        Raises:
            DoesNotFit: one line names the field.
        """
        value = self._value(text)
        if self.wrapped and isinstance(value, dict) and set(value) == {WRAPPER}:
            try:
                return self._fitting(value[WRAPPER])
            except DoesNotFit as fault:
                with contextlib.suppress(DoesNotFit):  # a form that has such a field itself
                    return self._fitting(value)
                raise fault from None
        return self._fitting(value)

    def partial(self, text: str) -> Any:
        """Returns what there is of the value while its text arrives, or None before it begins."""
        body = text.lstrip().removeprefix("```json").removeprefix("```").lstrip()
        if not body.startswith(("{", "[")):
            return None
        try:
            value = from_json(body, allow_partial="trailing-strings")
        except ValueError:
            return None
        return value.get(WRAPPER) if self.wrapped and isinstance(value, dict) else value

    def plain(self, value: Any) -> Any:
        """Returns a value as JSON holds it."""
        if self._adapter is None:
            return value
        return self._adapter.dump_python(value, mode="json")

    def verify(self, value: Any, files: Mapping[str, Path]) -> None:
        """Looks up the quotes of all `Cited` values."""
        verify_all(value, files)

    def _value(self, text: str) -> Any:
        """Returns what a text says: JSON, or itself where words alone may fit, such as a choice."""
        try:
            value = _json_in(text)
        except DoesNotFit:
            if not self.wrapped or not text.strip() or "{" in text or "[" in text:
                raise
            return text.strip()
        try:
            json.dumps(value, allow_nan=False)
        except (ValueError, RecursionError):
            raise DoesNotFit(f"the answer: {_NO_NUMBER}") from None
        return value

    def _fitting(self, value: Any) -> Any:
        if self._adapter is None:
            fault = self._check.fault(value)
            if fault is not None:
                raise DoesNotFit(f"{fault[0] or 'the answer'}: {fault[1]}")
            return value
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            raise DoesNotFit(_line(error)) from None
        except Exception as error:  # a validator of the person's own may raise anything
            raise DoesNotFit(
                f"the answer: {type(error).__name__}: {one_line(error, 200)}"
            ) from error


def answer_schema(file: str | Path) -> dict[str, Any]:
    """Returns the JSON schema in a file.

    Raises:
        InputError: it cannot be read, or holds no schema.
    """
    path = input_file(file, max_bytes=1024 * 1024)
    try:
        schema = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON.") from error
    if not isinstance(schema, dict):
        raise InputError(f"{path}: holds no JSON schema.")
    return schema


def _checkable(form: Any) -> Any:
    """Returns a form in which pydantic takes typing's own TypedDict, before Python 3.12 too."""
    import typing_extensions as extensions

    if _TAKES_TYPED_DICTS:
        return form
    if extensions.is_typeddict(form):
        hints = extensions.get_type_hints(form, include_extras=True)
        fields = {}
        for name, hint in hints.items():
            mark: Any = extensions.get_origin(hint)
            # with postponed annotations the class itself does not know of its marks
            left_out = name in form.__optional_keys__ and mark is not extensions.Required
            if mark in (extensions.Required, extensions.NotRequired):
                hint = extensions.get_args(hint)[0]
            kind = _checkable(hint)
            left_out = left_out or mark is extensions.NotRequired
            fields[name] = extensions.NotRequired[kind] if left_out else kind
        # the functional form takes names that are known only here
        make: Any = extensions.TypedDict
        return make(form.__name__, fields)
    given = extensions.get_args(form)
    inner = tuple(map(_checkable, given))
    if all(one is another for one, another in zip(given, inner, strict=True)):
        return form
    if isinstance(form, GenericAlias):
        return GenericAlias(extensions.get_origin(form), inner)
    if isinstance(form, UnionType):
        return Union[inner]  # noqa: UP007
    if hasattr(form, "__metadata__"):
        return extensions.Annotated[(inner[0], *form.__metadata__)]
    return form.copy_with(inner)


def _check_of(schema: dict[str, Any]) -> SchemaCheck:
    try:
        return SchemaCheck(schema)
    except SchemaUnusable as error:
        raise ConfigError(f"answer: is no JSON schema ({error}).") from None


def _is_object(schema: Mapping[str, Any]) -> bool:
    definitions, seen = schema.get("$defs", {}), set[str]()
    while isinstance(target := schema.get("$ref"), str) and target not in seen:
        seen.add(target)
        schema = definitions.get(target.removeprefix("#/$defs/"), {})
    return schema.get("type") == "object"


def _wrapped(schema: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema of an object whose one field has a schema, and its references moved."""
    outside = ("$defs", "$schema", "$id")
    inner = {name: value for name, value in schema.items() if name not in outside}
    outer: dict[str, Any] = {
        "type": "object",
        "properties": {WRAPPER: _moved(inner)},
        "required": [WRAPPER],
        "additionalProperties": False,
    }
    if "$defs" in schema:
        outer["$defs"] = _moved({"$defs": schema["$defs"]})["$defs"]
    return outer


def _moved(schema: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = copy.deepcopy(schema)
    for one in subschemas(out):
        target = one.get("$ref")
        if isinstance(target, str) and (target + "/").startswith("#/"):
            if not target.startswith("#/$defs/"):
                one["$ref"] = f"#/properties/{WRAPPER}{target[1:]}"
    return out


def _json_in(text: str) -> Any:
    """Returns the JSON value that a text is, holds in a fence, or holds between words."""
    bodies = [text.strip(), *(match[1].strip() for match in _FENCED.finditer(text))]
    for body in bodies:
        if body.startswith(("{", "[")) or body is bodies[0]:
            try:
                return loads_bounded(body)
            except json.JSONDecodeError:
                continue
    for match in islice(re.finditer(r"[{\[]", text), _STARTS):
        try:
            _, end = _DECODER.raw_decode(text, match.start())
            return loads_bounded(text[match.start() : end])
        except (ValueError, RecursionError):  # a number of thousands of digits is a ValueError
            continue
    raise DoesNotFit("the answer: is not JSON")


def _line(error: ValidationError) -> str:
    """The first faults in one line, each with its field."""
    faults = error.errors(include_url=False)
    shown = []
    for fault in faults[:3]:
        where = ".".join(map(str, fault["loc"])) or "the answer"
        shown.append(f"{where}: {one_line(fault['msg'], 200)}")
    more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
    return "; ".join(shown) + more
