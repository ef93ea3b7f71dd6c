"""Forms of typed answers of every kind: hostile schemas, unions, Python's own types."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
from typing import Annotated, Any, List, Literal, Optional, TypedDict, Union  # noqa: UP035

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, field_validator
from typing_extensions import NotRequired

from qwenbelt.agents.answers.typed import AnswerForm, DoesNotFit
from qwenbelt.core.errors import ConfigError


class Colour(enum.Enum):
    RED = "red"


class Entry(TypedDict):
    a: int
    b: NotRequired[str]


@dataclasses.dataclass
class Tree:
    v: int
    kids: list[Tree] = dataclasses.field(default_factory=list)


class Fussy(BaseModel):
    a: int

    @field_validator("a")
    @classmethod
    def never(cls, value: int) -> int:
        raise RuntimeError("a fault of its own")


@pytest.mark.parametrize(
    ("form", "text", "value"),
    [
        (decimal.Decimal, '{"answer": "1.50"}', decimal.Decimal("1.50")),
        (datetime.date, '{"answer": "2024-02-29"}', datetime.date(2024, 2, 29)),
        (datetime.date, "2024-02-29", datetime.date(2024, 2, 29)),
        (Colour, "red", Colour.RED),
        (Literal["yes", "no"], " yes\n", "yes"),
        (str, "In words.", "In words."),
        (Union[int, str, list[int]], '{"answer": [1]}', [1]),  # noqa: UP007
        (Entry, '{"a": 1}', {"a": 1}),
        (List[Entry], '[{"a": 1, "b": "x"}]', [{"a": 1, "b": "x"}]),  # noqa: UP006
        (list[list[Entry]], '[[{"a": 1}]]', [[{"a": 1}]]),
        (Optional[Entry], "null", None),  # noqa: UP045
        (Entry | None, '{"answer": {"a": 1}}', {"a": 1}),
        (dict[str, Entry | int], '{"x": {"a": 1}, "y": 2}', {"x": {"a": 1}, "y": 2}),
        (Annotated[Entry, Field(description="one")], '{"a": 1}', {"a": 1}),
        (Tree, '{"v": 1, "kids": [{"v": 2}]}', Tree(1, [Tree(2)])),
        (list[Tree], '[{"v": 1}]', [Tree(1)]),
        ({"allOf": [{"type": "object", "required": ["answer"]}]}, '{"answer": 3}', {"answer": 3}),
    ],
)
def test_forms(form: Any, text: str, value: Any) -> None:
    assert AnswerForm(form).read(text) == value


@pytest.mark.parametrize(
    ("form", "text", "fault"),
    [
        (float, '{"answer": NaN}', "NaN"),
        (dict, '{"a": 1e999}', "NaN"),
        ({"type": "object"}, '{"a": ' + "9" * 5001 + "}", "answer"),
        (Literal["yes", "no"], "perhaps", "yes"),
        (str, '{"answer": "cut o', "not JSON"),
        (Fussy, '{"a": 1}', "RuntimeError: a fault of its own"),
        ({"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}}, f'{{"a": "{"a" * 60}!"}}',
         "does not match"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(form: Any, text: str, fault: str) -> None:
    with pytest.raises(DoesNotFit, match=fault):
        AnswerForm(form).read(text)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"$ref": "http://192.0.2.1/x.json"}}},
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}},
    ],
)
def test_a_schema_that_leads_nowhere_is_refused_at_once(schema: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="is no JSON schema"):
        AnswerForm(schema)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "array", "items": {"$ref": "#/definitions/R"},
          "definitions": {"R": {"type": "integer"}}}, [1], ["x"]),
        ({"type": "array", "items": {"anyOf": [{"type": "integer"}, {"$ref": "#"}]}}, [1, [2]],
         [1, ["x"]]),
        ({"type": "array", "items": {"$ref": "#/$defs/R"},
          "$defs": {"R": {"type": "object", "properties": {"up": {"$ref": "#"}}}}}, [{"up": []}],
         [{"up": 1}]),
        ({"$id": "urn:x", "type": "array", "items": {"$ref": "#/$defs/R"},
          "$defs": {"R": {"type": "integer"}}}, [1], ["x"]),
    ],
)  # fmt: skip
def test_references_hold_in_the_object_round_a_form(
    schema: dict[str, Any], good: Any, bad: Any
) -> None:
    form = AnswerForm(schema)
    sent = Draft202012Validator(form.schema)
    assert sent.is_valid({"answer": good})
    assert not sent.is_valid({"answer": bad})
    assert form.read(str(good).replace("'", '"')) == good
