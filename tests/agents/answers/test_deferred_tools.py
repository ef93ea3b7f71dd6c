"""Tools that are found when they are needed, and called as themselves."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.agents.runtime.deferred_tools import DeferredTools
from qwenbelt.core.events import ApprovalAsked, ToolFinished, ToolStarted
from qwenbelt.testing import Scenario
from qwenbelt.tools import Tool
from qwenbelt.tools.search import ToolIndex

FUNCTIONS = [
    {
        "name": "currency.convert",
        "description": "Converts an amount of money between currencies.",
        "parameters": {"type": "object", "properties": {"amount": {"type": "number"}}},
    },
    {"name": "getWeather", "description": "Forecast for a city.", "parameters": {}},
    {"name": "send_mail", "description": "Sends an e-mail.", "parameters": {}},
    {"name": "查询余额", "description": "查询银行账户的余额。", "parameters": {}},
]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("convert 5 dollars to another currency", "currency.convert"),
        ("weather in Paris", "getWeather"),
        ("e-mail to Anna", "send_mail"),
        ("我的账户还有多少余额", "查询余额"),
    ],
)
def test_a_tool_is_found_by_what_it_does(query: str, name: str) -> None:
    index = ToolIndex(FUNCTIONS, vectors=False)
    assert index.search(query, 1) == [name]
    wrapped = [{"type": "function", "function": function} for function in FUNCTIONS]
    assert ToolIndex(wrapped, vectors=False).search(query, 1) == [name]


def test_a_question_for_several_things_finds_a_tool_for_each() -> None:
    found = ToolIndex(FUNCTIONS, vectors=False).search(
        "What will the weather be in Rome, and send an e-mail to my boss about it", 2
    )
    assert set(found) == {"getWeather", "send_mail"}


@given(st.text(max_size=80))
def test_any_question_can_be_asked(query: str) -> None:
    names = ToolIndex(FUNCTIONS, vectors=False).search(query, 3)
    assert len(names) == len(set(names)) <= 3


class Convert(Tool):
    name = "convert_money"
    description = "Converts an amount of money."
    parameters = {  # noqa: RUF012
        "type": "object",
        "properties": {"amount": {"type": "integer"}},
        "required": ["amount"],
    }

    def call(self, params: Any, **kwargs: Any) -> str:
        return f"{2 * int(self.parse(params)['amount'])} euros"


def many() -> list[Any]:
    def tool(number: int) -> Tool:
        made = type(f"Tool{number}", (Convert,), {"name": f"thing_{number}", "description": "x"})
        return made()  # type: ignore[no-any-return]

    return [Convert(), *(tool(number) for number in range(30))]


def called(arguments: Any) -> Scenario:
    scenario = Scenario().turn(calls=[("search_tools", {"query": "convert money"})])
    scenario.turn(calls=[("call_tool", {"name": "convert_money", "arguments": arguments})])
    return scenario.answer("8 euros.")


def test_only_the_search_is_declared_and_events_name_the_real_tool(served: Any) -> None:
    agent = served(called({"amount": 4}), many(), defer_tools=True)
    result = agent.ask("Convert four.")
    assert result.text == "8 euros."
    bodies = [request.body for request in served.asked]
    assert [t["function"]["name"] for t in bodies[0]["tools"]] == ["search_tools", "call_tool"]
    assert all(body["tools"] == bodies[0]["tools"] for body in bodies)
    for before, after in pairwise(bodies):
        assert after["messages"][: len(before["messages"])] == before["messages"]
    started = [e.name for e in result.trace if isinstance(e, ToolStarted)]
    assert started == ["search_tools", "convert_money"]
    assert "8 euros" in bodies[-1]["messages"][-1]["content"]
    found = bodies[1]["messages"][-1]["content"].splitlines()
    assert json.loads(found[0])["name"] == "convert_money"
    written = bodies[-1]["messages"][-2]["tool_calls"][0]["function"]
    assert written["name"] == "call_tool"


def test_arguments_are_checked_and_approved_as_the_real_tools(served: Any) -> None:
    agent = served(called({"amount": "many"}), many(), defer_tools=True)
    finished = [e for e in agent.ask("Convert.").trace if isinstance(e, ToolFinished)]
    assert (finished[-1].name, finished[-1].ok) == ("convert_money", False)
    asked = []

    def policy(request: Any) -> str:
        asked.append(request.name)
        return "refuse"

    agent = served(called({"amount": 1}), many(), defer_tools=True, approve=policy)
    agent.ask("Convert.")
    assert asked[-1] == "convert_money"
    assert ApprovalAsked.kind == "approval_asked"


def test_an_unknown_name_brings_near_ones(served: Any) -> None:
    scenario = Scenario().turn(calls=[("call_tool", {"name": "money_convert", "arguments": {}})])
    agent = served(scenario.answer("Sorry."), many(), defer_tools=True)
    (finished,) = [e for e in agent.ask("x").trace if isinstance(e, ToolFinished)]
    assert not finished.ok
    assert "convert_money" in finished.result


@pytest.mark.parametrize(("option", "declared"), [(False, 32), ("auto", 32), (["thing_1"], 32)])
def test_what_is_small_or_not_named_stays_declared(served: Any, option: Any, declared: int) -> None:
    agent = served(Scenario().answer("Hi."), many(), defer_tools=option)
    agent.ask("Hi?")
    assert len(served.asked[0].body["tools"]) == declared


def test_automatic_deferring_begins_at_a_share_of_the_window(served: Any) -> None:
    agent = served(Scenario().answer("Hi."), many() * 1, defer_tools="auto")
    assert agent._deferred is None
    tight = DeferredTools(True)
    assert set(tight.over({"a": Convert()})) == {"a", "search_tools", "call_tool"}


def test_what_a_long_result_left_out_is_read_as_a_found_tool_is(served: Any) -> None:
    class Long(Convert):
        """Gives more than a result may hold."""

        name = "long_list"

        def call(self, params: Any, **kwargs: Any) -> str:
            return "line of a list\n" * 50_000

    scenario = Scenario().turn(calls=[("call_tool", {"name": "long_list", "arguments": {}})])
    page = {"name": "long_list-1.txt", "offset": 70_000}
    scenario.turn(calls=[("call_tool", {"name": "read_artifact", "arguments": page})])
    result = served(scenario.answer("Long."), [*many(), Long()], defer_tools=True).ask("x")
    finished = [(e.name, e.ok) for e in result.trace if isinstance(e, ToolFinished)]
    assert finished == [("long_list", True), ("read_artifact", True)]
    bodies = [request.body for request in served.asked]
    assert all(body["tools"] == bodies[0]["tools"] for body in bodies)


def test_a_name_that_a_question_spells_out_comes_first() -> None:
    functions = [
        {"name": "weather.now", "description": "The weather of a city now."},
        {"name": "x_1", "description": "Something else."},
    ]
    assert ToolIndex(functions).search("the weather of the city, with x_1", 1) == ["x_1"]


def test_each_sentence_of_a_long_request_brings_its_tool() -> None:
    weather = [
        {"name": f"weather_{n}", "description": "Forecast of rain, wind and sun for a city."}
        for n in range(10)
    ]
    query = (
        "I travel to Rome, a city with much sun and rain and wind. What is the forecast for the "
        "city, rain or wind or sun? Then send my boss an e-mail."
    )
    assert "send_mail" in ToolIndex([*weather, *FUNCTIONS]).search(query, 3)


@pytest.mark.parametrize("key", ["parameters", "inputSchema", "input_schema", "arguments"])
def test_parameters_are_found_wherever_a_declaration_holds_them(key: str) -> None:
    schema = {"properties": {"isbn": {"type": "string", "description": "number of a book"}}}
    functions = [{"name": f"f{n}"} for n in range(5)] + [{"name": "look", key: schema}]
    assert ToolIndex(functions).search("the book with this number", 1) == ["look"]
    assert ToolIndex(functions).search("isbn", 1) == ["look"]


OTHERS = [{"name": f"berth_{n}", "description": f"Tells of berth {n}."} for n in range(30)]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("I need a cab", "order_ride"),
        ("which film shall I watch", "movie_tips"),
        ("how far is Rome from Oslo", "measure_distance"),
        ("what are my dollars in euros", "currency.convert"),
        ("erase the notes", "remove_note"),
        ("明天上海的天气怎么样", "get_weather"),
        ("帮我预订酒店", "book_hotel"),
        ("a thing in XL", "pick_size"),  # by a choice of a parameter
    ],
)
def test_a_question_may_use_other_words_than_the_tool(query: str, name: str) -> None:
    size = {"type": "object", "properties": {"size": {"enum": ["S", "XL"]}}}
    functions = [
        {"name": "order_ride", "description": "Orders one."},
        {"name": "movie_tips", "description": "Gives tips."},
        {"name": "measure_distance", "description": "Measures."},
        {"name": "remove_note", "description": "Takes one off the board."},
        {"name": "get_weather", "description": "Forecast."},
        {"name": "book_hotel", "description": "Takes a room."},
        {"name": "pick_size", "description": "Picks one.", "parameters": size},
        FUNCTIONS[0],
    ]
    assert ToolIndex([*OTHERS, *functions]).search(query, 1) == [name]


def test_a_questions_own_words_count_more_than_what_they_stand_for() -> None:
    functions = [
        {"name": "movie_tips", "description": "Tips for movies."},
        {"name": "film_tips", "description": "Tips for films."},
    ]
    assert ToolIndex([*OTHERS, *functions]).search("film tips", 2) == ["film_tips", "movie_tips"]
    assert ToolIndex([*OTHERS, *functions]).search("movie tips", 1) == ["movie_tips"]


def test_words_side_by_side_count_more_than_apart() -> None:
    functions = [
        {"name": "one_x", "description": "Board, long, game."},
        {"name": "two_x", "description": "Long board game."},
    ]
    assert ToolIndex([*OTHERS, *functions]).search("board game", 1) == ["two_x"]


def test_an_index_of_nothing_finds_nothing() -> None:
    assert ToolIndex([]).search("anything. at all, really? yes") == []
