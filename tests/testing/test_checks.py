"""Checks on trajectories: what they accept, and what they say when they do not."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenbelt.core.errors import InputError
from qwenbelt.testing import (
    Check,
    CheckFailed,
    MadeCall,
    Trajectory,
    all_ok,
    answer,
    anything,
    approx,
    budget,
    called,
    calls,
    citations,
    contains,
    ended,
    equals,
    every,
    grounded,
    ignore,
    lanes,
    never,
    no,
    no_repeats,
    once,
    one_of,
    overlapped,
    regex,
    result,
    subset,
    tool,
)
from qwenbelt.testing.checks.matchers import describe_difference, matcher_of
from qwenbelt.testing.checks.yaml_checks import checks_of


def call(name: str, begin: float, end: float, turn: int = 1, **arguments: Any) -> MadeCall:
    return MadeCall(
        f"{name}-{begin}", name, arguments, turn, begin, begin, end, True, result=f"{name} ok"
    )


def run_of(*made: MadeCall, **entries: Any) -> Trajectory:
    fields = {"answer": "It is 405 MPa [1].", "reason": "answer", "turns": 2, **entries}
    return Trajectory(calls=list(made), **fields)


RUN = run_of(
    call("search", 0.0, 1.0, query="tensile strength"),
    call("sql", 0.5, 1.5, sql="select avg(mpa) from tests", limit=5),
    call("plot", 2.0, 2.2, turn=2, kind="bar"),
    input_tokens=900,
    output_tokens=100,
    seconds=2.5,
)


def told(check: Check, run: Trajectory = RUN) -> str:
    with pytest.raises(CheckFailed) as caught:
        run.check(check)
    return str(caught.value).partition("\n")[0]


@pytest.mark.parametrize(
    "check",
    [
        called("sql"),
        called("sql", sql=contains("avg")),
        called("sql", {"limit": approx(5), "gone": ignore}),
        called("sql", equals({"sql": anything, "limit": 5})),
        called("search", times=1),
        once("plot", kind=one_of("bar", "line")),
        never("write_file"),
        never("plot", kind="pie"),
        tool("search") >> tool("plot"),
        {"search", "sql"} >> tool("plot"),
        tool("sql", limit=5) >> tool("plot", kind=regex("^b")),
        overlapped("search", "sql"),
        result("sql", contains("ok")),
        answer(every(contains("405"), no(contains("402")))),
        answer(approx(404, within=2)),
        budget(turns=2, calls=3, tokens=1000, seconds=3, retries=0),
        calls("search", "sql", "plot"),
        calls("plot", "sql", "search", mode="unordered"),
        calls("plot", mode="superset"),
        calls("plot", "sql", "search", "more", mode="subset"),
        all_ok(),
        ended(),
        no_repeats(),
    ],
    ids=lambda check: type(check).__name__,
)
def test_what_holds_passes(check: Check) -> None:
    assert RUN.check(check) is RUN


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (called("serch"), "serch was never called. Did you mean 'search'?"),
        (
            called("sql", sql=contains("max")),
            'Nearest: turn 1, sql({"sql": "select avg(mpa) from tests", "limit": 5}); sql: '
            "'max' is not in 'select avg(mpa) from tests'.",
        ),
        (called("sql", times=2), "sql was called 1 times, not 2."),
        (called("sql", equals({"sql": anything})), "limit: 5 is there and was not expected"),
        (never("plot"), 'plot must never be called, and was in turn 2 with {"kind": "bar"}.'),
        (tool("sql") >> tool("search"), 'search({"query": "tensile strength"}) began at 0.000'),
        (tool("search") >> tool("mail"), "mail was never called. Called were: plot, search, sql."),
        (overlapped("sql", "plot"), "when the others ran, plot did not. turn 1, sql"),
        (overlapped("sql", "plot"), "had ended 0.500 s before turn 2, plot"),
        (overlapped("search", "search"), "search and search did not run at the same time"),
        (result("sql", "42"), "the result of sql: 'sql ok' is not '42'"),
        (answer(approx(412)), "no number within 0.000412 of 412; the nearest is 405"),
        (budget(tokens=999), "over budget: 1000 tokens, at most 999"),
        (calls("search", "plot"), "call 2 should be plot, but it is a call of sql: turn 1, sql("),
        (calls("search", "sql"), 'turn 2, plot({"kind": "bar"}) was not expected: call 3.'),
        (calls("search", "sql", "plot", "x"), "call 4 should be x, and there is none."),
        (calls("search", mode="subset"), "was not expected."),
        (calls("search", "search", mode="superset"), "search was not called. Nearest: turn 1"),
        (ended("cancelled"), "the run ended with 'answer', not with 'cancelled'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_does_not_hold_is_told_with_the_nearest(check: Check, words: str) -> None:
    assert words in told(check)


def test_a_failure_shows_the_lanes() -> None:
    with pytest.raises(CheckFailed) as caught:
        RUN.check(never("sql"), called("mail"))
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("sql must never be called")
    assert lines[1].startswith("mail was never called")
    assert any("plot" in line and "█" in line and "2.00-2.20 s ok" in line for line in lines)
    assert lanes(RUN) in str(caught.value)


def test_calls_that_failed_repeat_or_lack_a_result() -> None:
    failed = call("sql", 0, 1, sql="x")
    failed.ok, failed.result = False, "no such table"
    lost = call("plot", 0, 1)
    lost.result = None
    run = run_of(failed, lost, call("sql", 2, 3, turn=2, sql="x"))
    assert "failed: 'no such table'" in told(all_ok(), run)
    assert "repeats the call of turn 1" in told(no_repeats(), run)
    with pytest.raises(CheckFailed, match="has no result"):
        run.check(all_ok("sql"))


def test_order_without_times_goes_by_turns() -> None:
    made = [MadeCall("1", "a", turn=1), MadeCall("2", "b", turn=2), MadeCall("3", "c", turn=2)]
    run = run_of(*made)
    run.check(tool("a") >> {"b", "c"})
    assert "does not hold" in told(tool("b") >> tool("c"), run)


def test_figures_must_stand_where_the_answer_cites_them() -> None:
    found = call("document_search", 0, 1)
    found.result = (
        "[1] a.pdf p.3 (Results)\nThe mean strength was 405 MPa.\nThe mean elongation was 12.5 %."
    )
    asked = {"asked": "What was the mean strength?"}
    run_of(found, answer="The mean strength was 405 MPa [1].", **asked).check(grounded())
    run_of(found, answer="The files do not tell.", **asked).check(grounded())
    wrong = run_of(found, answer="The mean strength was 470 MPa [a.pdf p.3].", **asked)
    assert "470 stands in no passage" in told(grounded(), wrong)
    row = run_of(found, answer="The mean strength was 12.5 MPa [1].", **asked)
    assert "a row about something else" in told(grounded(), row)
    assert "cites nothing" in told(grounded(), run_of(found, answer="It was 405 MPa.", **asked))


def test_citations_must_come_from_results() -> None:
    found = call("document_search", 0, 1)
    found.result = (
        "Text from documents follows.\n\n[1] a.pdf p.3 (Results)\n"
        "The mean strength was 405 MPa.\n\n"
        "[2] b.pdf p.1\nOther text."
    )
    good = 'It "mean strength was 405 MPa" [1], see [b.pdf p.1].'
    run_of(call("adder", 0, 1), found, answer=good).check(citations(at_least=2))
    assert "cites [3], which no tool gave" in told(citations(), run_of(found, answer="x [3]"))
    assert "has 0 citations" in told(citations(), run_of(found, answer="It is 405."))
    wrong = 'The "mean strength was 500 MPa" [1].'
    assert "does not stand in [1]" in told(citations(), run_of(found, answer=wrong))
    link = "see [1](http://x) and list[0]"
    assert "has 1 citations" in told(citations(at_least=2), run_of(found, answer=link))


@pytest.mark.parametrize(
    "then",
    [
        {"calls": {"unordered": ["sql", {"search": {"query": {"regex": "^tensile"}}}, "plot"]}},
        {"called": ["sql", {"plot": {"kind": "bar"}}], "once": ["plot"], "never": ["mail"]},
        {"order": [["search", "sql"], "plot"], "overlap": [["search", "sql"]]},
        {"results": {"sql": {"contains": "ok"}, "plot": ["plot ok"]}},
        {"answer": {"approx": 405}, "budget": {"turns": 2}, "ended": "answer"},
        {"failed": [], "repeats": False, "secrets": False, "append_only": True},
        {"called": [{"sql": {"equals": {"sql": {"any": True}, "limit": 5}}}]},
    ],
)  # fmt: skip
def test_the_same_checks_as_yaml(then: dict[str, Any]) -> None:
    RUN.check(*checks_of(then))


@pytest.mark.parametrize(
    ("then", "words"),
    [
        ({"caled": []}, "Did you mean 'called'"),
        ({"calls": {"any": []}}, "one of strict, unordered"),
        ({"never": "x"}, "must be a list"),
        ({"never": [{"a": {}, "b": {}}]}, "A call is written"),
        ({"budget": {"turn": 1}}, "Did you mean 'turns'"),
        ({"order": ["a"]}, "at least two"),
        ({"overlap": ["a"]}, "at least two"),
        ({"answer": {"contains": "x", "regex": "y"}}, "use `all`"),
        ({"answer": {"approx": "x"}}, "needs a number"),
        ({"repeats": True}, "can only be false"),
        ({"citations": 3}, "must be true"),
    ],
)
def test_mistakes_in_then_are_told(then: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        checks_of(then)


def test_matchers_say_what_differs_first() -> None:
    wanted = {"a": [1, {"b": contains("x")}], "c": subset({"d": no(3)})}
    assert describe_difference(wanted, {"a": [1, {"b": "axb"}], "c": {"d": 4, "e": 5}}) is None
    assert (
        describe_difference(wanted, {"a": [1, {"b": "y"}], "c": {}})
        == "a: [1]: b: 'x' is not in 'y'"
    )
    assert "a: [1]: nothing" in str(describe_difference(wanted, {"a": [1], "c": {"d": 3}}))
    assert describe_difference(True, 1) == "1 is not True"
    assert describe_difference(matcher_of({"one_of": [1, {"contains": "a"}]}), "cab") is None


_times = st.tuples(st.integers(0, 12), st.integers(1, 6))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), _times), max_size=7))
def test_orders_and_overlaps_agree_with_brute_force(made: Sequence[Any]) -> None:
    run = run_of(*(call(name, begin, begin + length) for name, (begin, length) in made))
    spans = [(name, begin, begin + length) for name, (begin, length) in made]
    chain = any(
        x[0] == "a" and y[0] == "b" and z[0] == "c" and x[2] <= y[1] and y[2] <= z[1]
        for x in spans for y in spans for z in spans
    )  # fmt: skip
    assert (not (tool("a") >> tool("b") >> tool("c")).failures(run)) == chain
    together = any(
        i != j and x[0] == "a" and y[0] == "a" and max(x[1], y[1]) < min(x[2], y[2])
        for i, x in enumerate(spans) for j, y in enumerate(spans)
    )  # fmt: skip
    assert (not overlapped("a", "a").failures(run)) == together
