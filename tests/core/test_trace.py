from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwenbelt.core import events
from qwenbelt.core.errors import InputError
from qwenbelt.core.events import Item, TextDelta, ThinkingDelta, ToolFinished
from qwenbelt.core.language import detect_language, user_language
from qwenbelt.core.trace import TraceWriter, overlapping_calls, read_trace


def finished(name: str, started: float, ended: float) -> ToolFinished:
    return ToolFinished(
        f"id-{name}", name, started, started, ended, True, False, "ok", (Item("text", "ok"),)
    )


def test_text_is_joined_and_order_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "trace.jsonl"
    with TraceWriter(path) as trace:
        for piece in ("Hel", "lo"):
            trace.write(TextDelta(piece))
        trace.write(ThinkingDelta("hm"))
        trace.write(finished("a", 1.0, 2.0))
    records = read_trace(path)
    assert [r["event"] for r in records] == ["text", "thinking", "tool_finished"]
    assert records[0]["text"] == "Hello"
    assert records[2]["items"] == [{"kind": "text", "value": "ok"}]
    assert all(isinstance(r["t"], float) for r in records)


def test_a_key_never_reaches_the_file(tmp_path: Path) -> None:
    key = "sk-" + "q" * 24
    with TraceWriter(tmp_path / "t.jsonl") as trace:
        trace.write(TextDelta(f"my key is {key}"))
    assert key not in (tmp_path / "t.jsonl").read_text(encoding="utf-8")


def test_overlap_is_read_from_the_times() -> None:
    with TraceWriter() as trace:
        for event in (finished("a", 0, 2), finished("b", 1, 3), finished("c", 2.5, 4)):
            trace.write(event)
        assert overlapping_calls(trace.lines) == 2


@pytest.mark.parametrize("line", ["{not json", "[]", '{"t": 1}'])
def test_a_file_that_is_no_trace_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"t": 0, "event": "text"}) + "\n" + line, encoding="utf-8")
    with pytest.raises(InputError, match=":2:"):
        read_trace(path)


def test_every_event_has_a_kind_of_its_own() -> None:
    kinds = [c.kind for c in vars(events).values() if isinstance(c, type) and hasattr(c, "kind")]
    assert len(kinds) == len(set(kinds))


def test_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert detect_language("平均值 mean") == "zh"
    assert detect_language("mean") == "en"
    monkeypatch.setenv("QWENBELT_LANG", "zh")
    assert user_language() == "zh"
    monkeypatch.setenv("QWENBELT_LANG", "en")
    assert user_language() == "en"
