"""Every kind of field that a form may have."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.agents.runtime.elicitation import ask_values_in_terminal
from qwenbelt.core.events import ElicitationAsked
from qwenbelt.tools.mcp.forms import asks_for_secrets, form_faults, form_fields, form_values

TITLED = [{"const": "r", "title": "Red"}, {"const": "g", "title": "Green"}]
FORM = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Name", "minLength": 2, "maxLength": 5},
        "mail": {"type": "string", "format": "email"},
        "page": {"type": "string", "format": "uri"},
        "day": {"type": "string", "format": "date"},
        "when": {"type": "string", "format": "date-time"},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "share": {"type": "number", "maximum": 1},
        "sure": {"type": "boolean", "default": True},
        "size": {"type": "string", "enum": ["s", "m"], "enumNames": ["Small", "Medium"]},
        "colour": {"type": "string", "oneOf": TITLED, "default": "g"},
        "tags": {
            "type": "array",
            "items": {"type": "string", "enum": ["a", "b", "c"]},
            "minItems": 1,
            "maxItems": 2,
        },
        "paints": {"type": "array", "items": {"anyOf": TITLED}},
    },
    "required": ["name"],
}


def test_every_kind_is_read() -> None:
    kinds = {one.name: one.kind for one in form_fields(FORM)}
    assert list(kinds.values()) == [
        *["text"] * 5,
        *["integer", "number", "boolean", "choice", "choice", "choices", "choices"],
    ]
    options = {one.name: one.options for one in form_fields(FORM)}
    assert options["size"] == (("s", "Small"), ("m", "Medium"))
    assert options["colour"] == options["paints"] == (("r", "Red"), ("g", "Green"))


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        ("name", "Ann", True),
        ("name", "A", False),
        ("name", "Annabell", False),
        ("mail", "a@b.org", True),
        ("mail", "a@b", False),
        ("page", "https://a.org", True),
        ("page", "a.org", False),
        ("day", "2026-02-28", True),
        ("day", "2026-02-30", False),
        ("when", "2026-02-28T10:00:00Z", True),
        ("when", "2026-02-28T10:00:00.123+08:00", True),
        ("when", "2026-02-28", False),
        ("age", "30", True),
        ("age", 30.0, True),
        ("age", 30.5, False),
        ("age", 200, False),
        ("age", True, False),
        ("share", "0.5", True),
        ("share", 2, False),
        ("sure", "no", True),
        ("sure", "maybe", False),
        ("size", "Medium", True),
        ("size", "xl", False),
        ("colour", "r", True),
        ("colour", "blue", False),
        ("tags", ["a", "c"], True),
        ("tags", "a, c", True),
        ("tags", [], False),
        ("tags", ["a", "b", "c"], False),
        ("tags", ["z"], False),
        ("paints", ["Red"], True),
    ],
)
def test_values_are_checked(name: str, value: Any, fits: bool) -> None:
    found = form_values({"name": "Ann", name: value}, FORM)
    assert (name not in form_faults(found, FORM)) == fits


def test_defaults_and_what_is_missing() -> None:
    found = form_values({"other": 1}, FORM)
    assert found == {"sure": True, "colour": "g"}
    assert form_faults(found, FORM, "zh") == {"name": "必须填写"}


@given(
    st.dictionaries(st.sampled_from(list(FORM["properties"])), st.none() | st.text() | st.floats()),
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=5) | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner),
    ),
)
def test_no_value_and_no_schema_breaks_it(values: dict[str, Any], odd: Any) -> None:
    form_faults(form_values(values, FORM), FORM)
    schema = {"properties": {"x": odd if isinstance(odd, dict) else {"enum": odd}}}
    form_faults(form_values({"x": odd}, schema), schema)


@pytest.mark.parametrize("field", ["password", "apiKey", "pin", "密码"])
def test_secrets_are_found(field: str) -> None:
    assert asks_for_secrets({"properties": {field: {"type": "string"}}})
    assert asks_for_secrets({"properties": {"x": {"description": f"Your {field}"}}})


def test_questions_at_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    lines = ["A", "Ann", "", "", "", "", "x", "7", "", "", "2", "", "a,b", "1"]
    monkeypatch.setattr("sys.stdin", Terminal("\n".join(lines) + "\n"))
    event = ElicitationAsked("1", "shop", "Who?", FORM, "form", "")
    assert ask_values_in_terminal(event) == {
        "name": "Ann",
        "age": 7,
        "sure": True,
        "size": "m",
        "colour": "g",
        "tags": ["a", "b"],
        "paints": ["r"],
    }
    said = capsys.readouterr().err
    for part in ("shop", "at least 2 characters", "whole number", "1. Red", "[g]"):
        assert part in said
    monkeypatch.setattr("sys.stdin", Terminal(""))
    assert ask_values_in_terminal(event) is None


def test_values_that_do_not_fit_are_asked_for_again(faulty) -> None:
    import json

    from qwenbelt.agents import FnCallAgent
    from qwenbelt.core.events import ToolFinished
    from qwenbelt.testing import Scenario, ScriptedServer

    form = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 5}}}
    scenario = Scenario().turn(calls=[("s-ask", {"form": form})]).answer("done")
    asked: list[str] = []
    got: list[Any] = []

    async def main(server: ScriptedServer) -> None:
        agent = FnCallAgent([{"mcpServers": {"s": faulty()}}], llm=server.llm)
        stream = agent.stream([{"role": "user", "content": "ask"}])
        async for event in stream:
            if isinstance(event, ElicitationAsked):
                asked.append(event.message)
                stream.answer(event.request_id, {"n": 9 if len(asked) == 1 else "3"})
            elif isinstance(event, ToolFinished):
                got.append(json.loads(event.result))

    with ScriptedServer(scenario) as server:
        asyncio.run(main(server))
    assert got == [{"action": "accept", "content": {"n": 3}}]
    assert asked == ["Which size?", "Which size? (n: is at most 5)"]


@pytest.mark.parametrize("pasted", ["", "http://127.0.0.1:1/callback?code=c&state=right"])
def test_a_login_in_a_chat_takes_a_pasted_address(pasted: str) -> None:
    """For a chat on another machine, whose loopback the person's browser does not reach."""
    from concurrent.futures import Future

    from qwenbelt.tools.base import Question
    from qwenbelt.tools.mcp.login.pages import AskedPage

    asked: list[Question] = []
    answers: list[Any] = ["http://127.0.0.1:1/callback?code=c&state=wrong", pasted]

    def elicit(question: Question) -> Future[Any]:
        asked.append(question)
        future: Future[Any] = Future()
        future.set_result({"address": answers.pop(0)})
        return future

    async def login() -> Any:
        waiting: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        page = AskedPage("s", elicit)
        await page.show("https://login.example/authorize?state=right", waiting)
        while len(asked) < 2:
            await asyncio.sleep(0)
        if not pasted:
            await asyncio.sleep(0.01)
            return waiting.done()
        return (await waiting).code

    assert asyncio.run(login()) == ("c" if pasted else False)
    assert [q.mode for q in asked] == ["url", "url"]
    assert "not the answer" in asked[1].message


def test_a_question_that_nobody_needs_any_more_is_taken_back() -> None:
    """The call ended: the card goes, and a late answer changes nothing."""
    from qwenbelt.agents.hooks import Hooks
    from qwenbelt.agents.runtime.elicitation import Elicitor
    from qwenbelt.agents.runtime.hooked import RunHooks
    from qwenbelt.tools.base import Question

    async def main() -> list[Any]:
        events: list[Any] = []
        elicitor = Elicitor(events.append, RunHooks(Hooks(())), heard=True)
        answer = elicitor.ask(asyncio.get_running_loop(), Question("s", "?"))
        while not events:
            await asyncio.sleep(0)
        answer.cancel()
        while len(events) < 2:
            await asyncio.sleep(0)
        elicitor.answer(events[0].request_id, {})
        return events

    asked, settled = asyncio.run(asyncio.wait_for(main(), 60))
    assert (settled.kind, settled.action) == ("elicitation_answered", "cancel")
    assert settled.request_id == asked.request_id
