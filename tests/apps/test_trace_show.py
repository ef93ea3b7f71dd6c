"""`qwenbelt trace show`: lanes from the times of a trace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from qwenbelt.apps.commands.trace import show
from qwenbelt.apps.lanes import ASCII, BLOCKS, draw_lanes, ink_for
from qwenbelt.apps.timeline import Timeline
from qwenbelt.core.events import (
    ApprovalAsked,
    Event,
    ModelFinished,
    ModelStarted,
    TextDelta,
    ToolCallReady,
    ToolFinished,
    ToolStarted,
    ToolWaiting,
    Usage,
)
from qwenbelt.core.trace import TraceWriter


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENBELT_LANG", "en")


def events() -> list[Event]:
    return [
        ModelStarted(1, 10.0),
        TextDelta("I look."),
        ToolCallReady("a", "document_search", '{"query": "x"}', 10.4),
        ToolStarted("a", "document_search", 10.4),
        ToolCallReady("b", "代码解释器", "{}", 10.5),
        ToolWaiting("b", "代码解释器", "the message's end"),
        ToolCallReady("c", "plot", "{}", 10.6),
        ModelFinished(1, 10.0, 10.2, 10.8, "tool_calls"),
        Usage(1, 100, 20),
        ToolStarted("b", "代码解释器", 10.8),
        ToolFinished("a", "document_search", 10.4, 10.4, 11.4, True, False, "found"),
        ToolFinished("b", "代码解释器", 10.5, 10.8, 11.2, False, False, "NameError"),
        ToolFinished("c", "plot", 10.6, None, 11.2, False, True, "cancelled by the user"),
        ModelStarted(2, 11.5),
        ModelFinished(2, 11.5, 11.6, 12.0, "stop"),
    ]


@pytest.fixture
def trace(tmp_path: Path) -> str:
    with TraceWriter(tmp_path / "trace.jsonl") as writer:
        for event in events():
            writer.write(event)
    return str(tmp_path / "trace.jsonl")


def test_lanes_stand_where_the_times_say(trace: str) -> None:
    done = CliRunner().invoke(show, [trace, "--width", "80"])
    assert done.exit_code == 0, done.output
    summary, ticks, *rows, legend = done.output.splitlines()
    assert "model calls: 2; tool calls: 3; 2.00 s; up to 2 side by side" in summary
    assert "100 tokens in, 20 out" in summary
    assert ticks.split()[:2] == ["0.0", "s"]
    assert [row.split()[0] for row in rows] == [
        *("model", "document_search", "代码解释器", "plot", "model"),
    ]
    search, code, plot = rows[1:4]
    assert search.count("█") == pytest.approx(code.count("█") * 2.5, abs=2)
    assert search.index("█") < code.index("█")
    assert "·" in code
    assert code.endswith("✗ failed")
    assert "█" not in plot
    assert plot.endswith("⊘ cancelled")
    assert "runs" in legend


def test_json_has_times_since_the_beginning(trace: str) -> None:
    done = CliRunner().invoke(show, [trace, "--json"])
    out = json.loads(done.output)
    assert out["seconds"] == 2.0
    assert out["most_parallel"] == 2
    assert [call["state"] for call in out["tool_calls"]] == ["done", "failed", "cancelled"]
    assert out["tool_calls"][1]["started"] == pytest.approx(0.8)
    assert out["tool_calls"][2]["started"] is None
    assert [model["turn"] for model in out["model_calls"]] == [1, 2]


def test_one_turn_only(trace: str) -> None:
    done = CliRunner().invoke(show, [trace, "--json", "--turn", "2"])
    out = json.loads(done.output)
    assert (len(out["model_calls"]), len(out["tool_calls"])) == (1, 0)


def test_a_file_that_is_no_trace_is_one_line(tmp_path: Path) -> None:
    from qwenbelt.core.errors import InputError

    for body in ("not json", '{"event": "tool_finished"}', '{"event": "model_started"}', "[1]"):
        (tmp_path / "x.jsonl").write_text(body, encoding="utf-8")
        done = CliRunner().invoke(show, [str(tmp_path / "x.jsonl")])
        assert isinstance(done.exception, InputError), body


def test_an_output_without_those_characters_gets_ascii(trace: str) -> None:
    assert ink_for("utf-8") is BLOCKS
    assert ink_for("latin-1") is ASCII
    assert ink_for(None) is ASCII


def test_calls_still_running_reach_up_to_now() -> None:
    timeline = Timeline(event.to_dict() for event in events()[:4])
    assert timeline.running
    (_, _, call) = draw_lanes(timeline, 80, now=12.0)
    assert call.plain.endswith("1.60 s … running")
    timeline.add(ApprovalAsked("z", "write_file", "{}", "it writes").to_dict())
    assert timeline.calls[-1].state == "asked"


times = st.floats(0, 1e6, allow_nan=False)


@given(
    st.lists(st.tuples(times, times, times, st.booleans(), st.text(max_size=30)), max_size=8),
    st.integers(40, 250),
)
def test_any_times_fit_the_width(
    calls: list[tuple[float, float, float, bool, str]], width: int
) -> None:
    timeline = Timeline()
    for number, (sealed, started, finished, ok, name) in enumerate(calls):
        name = "".join(name.split()) or "x"
        event = ToolFinished(str(number), name, sealed, started, finished, ok, False, "")
        timeline.add(event.to_dict())
    for line in draw_lanes(timeline, width):
        assert cell_len(line.plain) <= width + 12


def test_a_request_tells_what_its_endpoint_had_in_its_cache() -> None:
    from io import StringIO

    from rich.console import Console

    from qwenbelt.apps.commands.trace import as_dict
    from qwenbelt.apps.lanes import draw_lanes

    records = [
        {"event": "model_started", "turn": 1, "started": 0.0},
        {"event": "model_finished", "turn": 1, "started": 0.0, "first_token": 0.5, "finished": 1.0},
        {
            "event": "usage",
            "turn": 1,
            "input_tokens": 400,
            "output_tokens": 5,
            "cached_tokens": 300,
        },
    ]
    timeline = Timeline(records)
    console = Console(file=StringIO(), width=100)
    for line in draw_lanes(timeline, 100):
        console.print(line)
    assert "75 % cached" in console.file.getvalue()  # type: ignore[attr-defined]
    assert as_dict(timeline)["model_calls"][0]["cached_tokens"] == 300
