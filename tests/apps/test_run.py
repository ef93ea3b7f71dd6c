"""`qwenbelt run`: output forms and bad input."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from qwenbelt.apps import cli

SCENARIO = """
say: Draw two charts.
turns:
  - text: I draw.
    calls:
      - plot: {kind: bar, labels: [a, b], series: [{name: s, values: [1, 2]}], title: One}
      - plot: {kind: pie, labels: [a, b], series: [{name: s, values: [1, 2]}], title: Two}
  - text: Here they are.
"""


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DASHSCOPE_API_KEY", "QWENBELT_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QWENBELT_LANG", "en")
    monkeypatch.setenv("QWENBELT_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    (tmp_path / "s.yaml").write_text(SCENARIO, encoding="utf-8")
    return f"scripted:{tmp_path / 's.yaml'}"


def run(*words: str) -> Result:
    return CliRunner().invoke(cli.root(), ["run", *words], standalone_mode=False)


def failure(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Returns the exit code and the one line on stderr."""
    code = cli.run(["run", *words])
    captured = capsys.readouterr()
    assert captured.out == ""
    return code, captured.err.strip()


def test_the_answer_goes_to_stdout(endpoint: str) -> None:
    done = run("-e", endpoint, "-t", "plot")
    assert (done.stdout, done.return_value) == ("Here they are.\n", 0)
    assert re.fullmatch(r"Files: (?:\S+\.(?:png|svg|json)(?:, )?)+\n", done.stderr)


def test_figures_after_a_failed_call_are_told_as_such(tmp_path: Path) -> None:
    scenario = """
say: What is one by nought?
turns:
  - calls:
      - code_interpreter: {code: "1 / 0"}
  - text: It is 0.00.
"""
    (tmp_path / "f.yaml").write_text(scenario, encoding="utf-8")
    done = run("-e", f"scripted:{tmp_path / 'f.yaml'}", "-t", "code_interpreter")
    assert (done.stdout, done.return_value) == ("It is 0.00.\n", 0)
    assert "Every tool call failed" in done.stderr


def test_events_are_json_lines(endpoint: str) -> None:
    done = run("-e", endpoint, "-t", "plot", "--events")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [events[0]["event"], events[-1]["event"]] == ["run_started", "done"]
    assert all(isinstance(event["t"], float) for event in events)
    finished = [event for event in events if event["event"] == "tool_finished"]
    assert [event["ok"] for event in finished] == [True, True]
    assert all(Path(path).is_file() for event in finished for path in event["artifacts"])


def test_json_has_the_answer_and_the_times(endpoint: str) -> None:
    done = run("-e", endpoint, "-t", "plot", "--json")
    out = json.loads(done.stdout)
    assert (out["answer"], out["reason"]) == ("Here they are.", "answer")
    assert [call["name"] for call in out["tool_calls"]] == ["plot", "plot"]
    assert out["messages"][-1]["content"] == "Here they are."


def test_no_endpoint_is_3(capsys: pytest.CaptureFixture[str]) -> None:
    code, line = failure(capsys, "hello")
    assert code == 3
    assert "DASHSCOPE_API_KEY" in line
    assert "\n" not in line


def test_an_unreachable_endpoint_is_3(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwenbelt.agents.models.retrying.retry_delay", lambda *_: 0.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spec = f"openai:m@http://127.0.0.1:{port}/v1"
    code, line = failure(capsys, "hello", "-e", spec, "-t", "none")
    assert code == 3
    assert f"127.0.0.1:{port}" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("hello", "-e", "nonsense"), 2, "nonsense"),
        (("hello", "-e", "ollama:x", "-t", "code_interpeter"), 1, "code_interpreter"),
        (("hello", "-e", "ollama:x", "-t", "none", "-t", "plot"), 1, "none"),
        (("hello", "-e", "ollama:x", "-t", "none", "-f", "missing.pdf"), 1, "missing.pdf"),
        (("hello", "-e", "ollama:x", "--mcp", "missing.json"), 2, "missing.json"),
        (("hello", "-e", "scripted:missing.yaml"), 1, "missing.yaml"),
        (("", "-e", "ollama:x"), 2, "Give a question"),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, part: str
) -> None:
    got, line = failure(capsys, *words)
    assert got == code
    assert part in line
    assert "Traceback" not in line
