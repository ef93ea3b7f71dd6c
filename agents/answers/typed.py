"""Typed answers: the form that an answer must have, and how its text is read.

`answer=` takes whatever pydantic can check (models, dataclasses, TypedDicts, `list[Row]`, unions)
or a JSON schema. The form is given once, in the system message; an endpoint that constrains replies
does so where no tool is offered, since servers differ in what a schema does to tool calls (vLLM
constrains the call away, llama.cpp refuses both together).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from types import GenericAlias
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from qwenbelt.agents.answers.cited import verify_all
from qwenbelt.agents.answers.prompts import ANSWER_FORM, ANSWER_REPAIR
from qwenbelt.core.errors import ConfigError, InputError, one_line
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.language import Language
from qwenbelt.core.limits import input_file

MAX_REPAIRS = 2
CUT_OFF = "the answer: was cut off before its end; it must be shorter"
_STARTS = 50  # places in a text at which JSON may begin
WRAPPER = "answer"  # the field round a form that is no object; endpoints want objects
_FENCED = re.compile(r"```(?:json|JSON)?[ \t]*\n(.*?)```", re.DOTALL)
_DECODER = json.JSONDecoder()


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
            _check_schema(schema)
        else:
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
        value = _json_in(text)
        if self.wrapped and isinstance(value, dict) and set(value) == {WRAPPER}:
            value = value[WRAPPER]
        if self._adapter is None:
            return self._fitting(value)
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            raise DoesNotFit(_line(error)) from None

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

    def _fitting(self, value: Any) -> Any:
        from jsonschema import validators
        from jsonschema.exceptions import best_match

        found = validators.validator_for(self._inner)(self._inner).iter_errors(value)
        error = best_match(found)
        if error is not None:
            where = ".".join(map(str, error.absolute_path)) or "the answer"
            raise DoesNotFit(f"{where}: {one_line(error.message, 300)}")
        return value


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

    if extensions.is_typeddict(form):
        hints = {k: _checkable(v) for k, v in extensions.get_type_hints(form).items()}
        optional = form.__optional_keys__
        fields = {k: extensions.NotRequired[v] if k in optional else v for k, v in hints.items()}
        # the functional form takes names that are known only here
        make: Any = extensions.TypedDict
        return make(form.__name__, fields)
    arguments = extensions.get_args(form)
    origin: Any = extensions.get_origin(form)
    if any(map(extensions.is_typeddict, arguments)) and isinstance(form, GenericAlias):
        return GenericAlias(origin, tuple(map(_checkable, arguments)))
    return form


def _check_schema(schema: dict[str, Any]) -> None:
    from jsonschema import validators
    from jsonschema.exceptions import SchemaError

    try:
        validators.validator_for(schema).check_schema(schema)
    except SchemaError as error:
        reason = one_line(error.message, 200)
        raise ConfigError(f"answer: is no JSON schema ({reason}).") from error


def _is_object(schema: Mapping[str, Any]) -> bool:
    if "$ref" in schema:
        name = str(schema["$ref"]).rsplit("/", 1)[-1]
        return _is_object(schema.get("$defs", {}).get(name, {}))
    return schema.get("type") == "object"


def _wrapped(schema: dict[str, Any]) -> dict[str, Any]:
    inner = {name: value for name, value in schema.items() if name != "$defs"}
    outer: dict[str, Any] = {
        "type": "object",
        "properties": {WRAPPER: inner},
        "required": [WRAPPER],
        "additionalProperties": False,
    }
    if "$defs" in schema:
        outer["$defs"] = schema["$defs"]
    return outer


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
        except (json.JSONDecodeError, RecursionError):
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
