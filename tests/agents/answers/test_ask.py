"""`ask`: one question, one result; typed answers and values that name their source."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from qwenbelt import Cited, FnCallAgent
from qwenbelt.agents.answers.bounds import bounded_schema
from qwenbelt.agents.answers.typed import AnswerForm, DoesNotFit
from qwenbelt.core.errors import AnswerInvalid, ConfigError, EndpointError, InputError
from qwenbelt.core.events import Done, Event, Partial, TextDelta
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools.base import Structured


class Fruit(BaseModel):
    name: str
    price: float


@dataclass
class Spot:
    x: int


class Figure(BaseModel):
    name: str
    strength: Cited[float]


def double(n: int) -> int:
    """Doubles a number.

    Args:
        n: the number.
    """
    return 2 * n


def scripted(*answers: str) -> Scenario:
    scenario = Scenario()
    for answer in answers:
        scenario.turn(text=answer)
    return scenario


def test_a_question_gives_a_result(served: Any) -> None:
    agent = served(Scenario().turn(calls=[("double", {"n": 4})]).answer("It is 8."), [double])
    result = agent.ask("Twice four?")
    assert (result.text, str(result), result.reason) == ("It is 8.", "It is 8.", "answer")
    assert result.value is None
    assert [m["role"] for m in result.messages] == ["assistant", "function", "assistant"]
    assert result.usage.requests == 2
    assert result.usage.total_tokens > 0
    assert isinstance(result.trace[-1], Done)
    assert "It is 8." in result._repr_html_()


def test_it_is_awaited_and_asked_inside_a_running_loop_and_read_as_events(served: Any) -> None:
    agent = served(scripted("Hello."), plays=None)

    async def main() -> list[str]:
        awaited = await agent.aask("Hi?")
        return [awaited.text, agent.ask("Hi?").text]

    assert asyncio.run(main()) == ["Hello.", "Hello."]
    events = list(agent.events("Hi?"))
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "Hello."
    assert isinstance(events[-1], Done)


def test_errors_say_who_must_act(served: Any, tmp_path: Path) -> None:
    agent = served(Scenario().turn(faults={"status": 401, "message": "no key"}, text="x"))
    with pytest.raises(InputError, match="no such file"):
        agent.ask("What?", files=[tmp_path / "none.pdf"])
    with pytest.raises(InputError, match="empty"):
        agent.ask("  ")
    with pytest.raises(EndpointError, match="no key"):
        agent.ask("What?")


def test_an_answer_cites_what_it_was_shown(served: Any, paper: Path) -> None:
    scenario = Scenario().turn(calls=[("document_search", {"query": "tensile strength of lot A"})])
    agent = served(scenario.answer("Lot A has 412 MPa [1]."), ["document_search"])
    result = agent.ask("How strong is lot A?", files=[paper])
    (citation,) = result.citations
    assert (citation.n, citation.file, citation.page) == (1, "mill.pdf", 1)
    assert "412 MPa" in citation.quote
    assert citation.verified


# -- typed answers ------------------------------------------------------------------------------


@dataclass
class Plain:
    name: str
    count: int = 0


class Typed(TypedDict):
    name: str


@pytest.mark.parametrize(
    ("form", "text", "value"),
    [
        (Fruit, '{"name": "fig", "price": "1.5"}', Fruit(name="fig", price=1.5)),
        (Plain, '{"name": "a"}', Plain("a")),
        (Typed, '{"name": "a"}', {"name": "a"}),
        (list[Fruit], '[{"name": "a", "price": 1}]', [Fruit(name="a", price=1)]),
        (list[Fruit], '{"answer": [{"name": "a", "price": 1}]}', [Fruit(name="a", price=1)]),
        (Fruit | Plain, '{"name": "a", "count": 3}', Plain("a", 3)),
        (int, "42", 42),
        (Literal["yes", "no"], '"yes"', "yes"),
        ({"type": "object", "required": ["a"]}, '{"a": 1}', {"a": 1}),
        (Plain, 'Here it is:\n```json\n{"name": "a"}\n```\nDone.', Plain("a")),
        (Plain, 'It is {"name": "a"}, I think.', Plain("a")),
    ],
)
def test_every_form_is_read(served: Any, form: Any, text: str, value: Any) -> None:
    for tools in ([], [double]):  # with and without a schema for the reply
        if not tools and "is" in text:
            continue  # a constrained reply has no other words
        agent = served(scripted(text), tools)
        assert agent.ask("What?", answer=form).value == value


def test_an_endpoint_that_can_is_given_the_schema_and_asked_once(served: Any) -> None:
    agent = served(scripted('{"name": "fig", "price": 2}'))
    assert agent.ask("What?", answer=Fruit).value == Fruit(name="fig", price=2)
    (request,) = served.asked
    schema = request.body["response_format"]["json_schema"]["schema"]
    assert set(schema["properties"]) == {"name", "price"}


def test_with_tools_the_answer_takes_no_further_turn(served: Any) -> None:
    scenario = Scenario().turn(calls=[("double", {"n": 4})])
    agent = served(scenario.turn(text='{"name": "eight", "count": 8}'), [double])
    assert agent.ask("Twice four?", answer=Plain).value == Plain("eight", 8)
    assert len(served.asked) == 2
    assert all("response_format" not in request.body for request in served.asked)


def test_what_does_not_fit_is_repaired_and_then_an_error_names_the_field(served: Any) -> None:
    wrong, right = '{"name": "fig"}', '{"name": "fig", "price": 3}'
    agent = served(scripted(wrong, right), [double])
    assert agent.ask("What?", answer=Fruit).value == Fruit(name="fig", price=3)
    repair = served.asked[-1]
    assert "price" in repair.messages[-1]["content"]
    assert "response_format" in repair.body
    hopeless = served(scripted(*[wrong] * 9))
    with pytest.raises(AnswerInvalid, match="price"):
        hopeless.ask("What?", answer=Fruit)


def test_a_partial_answer_is_shown_while_it_arrives(served: Any) -> None:
    text = json.dumps({"name": "a rather long name of a fruit", "price": 12.5})
    agent = served(Scenario().turn(text=text, wire={"chunk": 4}))
    events: list[Event] = list(agent.events("What?", answer=Fruit))
    partial = [e.value for e in events if isinstance(e, Partial)]
    assert partial[-1] == {"name": "a rather long name of a fruit", "price": 12.5}
    names = [value.get("name", "") for value in partial]
    assert names == sorted(names, key=len)
    assert len(set(names)) > 2
    assert isinstance(events[-1], Done)
    assert events[-1].value == partial[-1]


def test_a_form_that_cannot_be_checked_is_refused_at_once(served: Any) -> None:
    agent = served(scripted("x"), plays=None)
    with pytest.raises(ConfigError, match="answer="):
        agent.ask("What?", answer=object())
    with pytest.raises(ConfigError, match="JSON schema"):
        agent.ask("What?", answer={"type": "no such type"})
    assert not served.asked


def test_a_value_is_looked_up_on_its_page(served: Any, paper: Path) -> None:
    def figure(page: int, quote: str) -> str:
        source = {"value": 412, "file": "mill.pdf", "page": page, "quote": quote, "verified": True}
        return json.dumps({"name": "lot A", "strength": source})

    right = "tensile strength of lot A is 412 MPa"
    agent = served(scripted(figure(1, right), figure(2, right), figure(1, "lot A is 999 MPa")))
    seen = []
    for _ in range(3):
        found = agent.ask("Strength?", files=[paper], answer=Figure).value
        assert found.strength.value == 412
        seen.append(found.strength.verified)
    assert seen == [True, False, False]
    schema = AnswerForm(Figure).schema
    (cited,) = [s for name, s in schema["$defs"].items() if name.startswith("Cited")]
    assert set(cited["properties"]) == {"value", "file", "page", "quote"}


@given(st.text(max_size=60), st.text(max_size=60))
def test_words_around_never_change_the_value(before: str, after: str) -> None:
    form = AnswerForm({"type": "object", "required": ["marker"]})
    text = f'{before.translate({ord(c): None for c in "{}[]`"})}\n{{"marker": 7}}\n{after}'
    assert form.read(text) == {"marker": 7}


@given(st.text(alphabet='{}[]",:1a `', max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    form = AnswerForm(Fruit)
    with contextlib.suppress(DoesNotFit):
        assert isinstance(form.read(text), Fruit)
    form.partial(text)


def test_a_result_with_data_can_be_copied_and_pickled() -> None:
    made = Structured("2 rows", {"rows": [1, 2]})
    for again in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert (again, again.data) == ("2 rows", {"rows": [1, 2]})


# -- answers that find no end ---------------------------------------------------------------------


def test_an_answer_that_is_cut_off_is_asked_for_again_within_bounds() -> None:
    scenario = Scenario().turn(text='{"name": "fig fig', faults={"finish_reason": "length"})
    with ScriptedServer(scenario.turn(text='{"name": "fig", "price": 2}')) as server:
        llm = {"model": "m", "model_server": server.url, "api_key": "k", "dialect": "vllm"}
        value = FnCallAgent([double], llm=llm).ask("What?", answer=Fruit).value
    assert value == Fruit(name="fig", price=2)
    last = server.requests[-1].request
    schema = last.body["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["name"]["maxLength"] == 400
    assert "cut off" in last.messages[-1]["content"]


def test_an_answer_that_repeats_itself_is_not_waited_for(served: Any) -> None:
    endless = '{"name": "' + "fig " * 5000
    agent = served(scripted(endless, '{"name": "fig", "price": 2}'), [double])
    events = list(agent.events("What?", answer=Fruit))
    shown = sum(len(event.text) for event in events if isinstance(event, TextDelta))
    assert shown < len(endless)
    assert json.loads(events[-1].text) == {"name": "fig", "price": 2}  # type: ignore[union-attr]


@given(
    text=st.text(max_size=60), numbers=st.lists(st.integers(), max_size=3), cuts=st.integers(1, 3)
)
def test_what_fits_the_bounds_fits_the_schema(text: str, numbers: list[int], cuts: int) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": ["string", "null"]},
            "kind": {"type": "string", "enum": ["a"]},
            "counts": {"anyOf": [{"type": "array", "items": {"type": "integer"}, "minItems": 1}]},
            "free": {"type": "object"},
        },
        "required": ["name"],
    }
    value = {"name": text, "kind": "a", "counts": numbers, "free": {"x": 1} if cuts == 1 else {}}
    bounded = bounded_schema(schema, cuts)
    assert jsonschema.Draft202012Validator(schema).is_valid(value) == bool(numbers)
    assert jsonschema.Draft202012Validator(bounded).is_valid(value) == bool(numbers)
    endless = {**value, "name": "x" * 500, "counts": [1]}
    assert jsonschema.Draft202012Validator(schema).is_valid(endless)
    assert not jsonschema.Draft202012Validator(bounded).is_valid(endless)


def test_the_events_of_a_run_can_be_answered_and_end_in_its_result() -> None:
    """For scripts without a loop: approve, say more, cancel, and the result at the end."""
    paid: list[int] = []

    def pay(amount: int) -> str:
        """Pays.

        Args:
            amount: how much.
        """
        paid.append(amount)
        return "Paid."

    scenario = Scenario().turn(calls=[("pay", {"amount": 3})]).answer("Done.")
    with ScriptedServer(scenario, plays=None, strict=False) as server:
        agent = FnCallAgent([pay], llm=server.llm, approve={"ask": ["pay"]})
        events = agent.events("Pay it.")
        with pytest.raises(InputError, match="has not begun"):
            events.send("And 2023?")
        for event in events:
            if event.kind == "approval_asked":
                with pytest.raises(InputError, match="has not ended"):
                    print(events.result)
                events.send("And 2023?")
                events.approve(event.call_id)
        assert "And 2023?" in str(server.requests[-1].request.body)
    assert (events.result.text, events.result.reason, paid) == ("Done.", "answer", [3])


def test_one_of_several_forms_as_a_list_and_what_is_no_question() -> None:
    scenario = Scenario().answer('{"x": 1}')
    with ScriptedServer(scenario, plays=None, strict=False) as server:
        agent = FnCallAgent(llm=server.llm)
        assert agent.ask("Where?", answer=[Fruit, Spot]).value == Spot(1)
        for question in (None, 3, b"text"):
            with pytest.raises(InputError, match="The question is a"):
                agent.ask(question)  # type: ignore[arg-type]
