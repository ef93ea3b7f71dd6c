"""`qwenbelt eval` from end to end, against a scripted endpoint."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.apps.cli import run
from qwenbelt.testing import ScriptedLLM, ScriptedServer
from qwenbelt.workflows.evaluation.bfcl import BerkeleySet
from qwenbelt.workflows.evaluation.job import check_set

ROOT = Path(__file__).resolve().parents[2]
needs_engine = pytest.mark.skipif(
    importlib.util.find_spec("dbos") is None, reason="needs the extra durable"
)


def server_of(reply: Any) -> ScriptedServer:
    llm = ScriptedLLM(model="m")
    llm.turn(reply)
    return ScriptedServer(llm, plays=None)


def cases(path: Path, count: int = 3) -> Path:
    rows: list[dict[str, Any]] = [
        {"id": f"q{n}", "question": f"What is {n} plus {n}?", "expect": {"number": 2 * n}}
        for n in range(1, count + 1)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def adds(request: Any) -> dict[str, Any]:
    number = int(request.user.split()[2])
    return {"answer": f"It is {2 * number if number != 2 else 5}."}


@needs_engine
def test_a_set_of_ones_own(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    path, out = cases(tmp_path / "set.jsonl"), tmp_path / "out"
    with server_of(adds) as server:
        command = ["eval", str(path), "-e", f"openai:m@{server.url}", "--out", str(out)]
        assert run([*command, "--trials", "2", "--to-scenarios", str(tmp_path / "failed")]) == 0
        asked = len(server.requests)
        assert asked == 6
        found = json.loads((out / "report.json").read_text("utf-8"))
        assert (found["name"], found["n"], found["trials"]) == ("set", 3, 2)
        assert found["score"] == pytest.approx(2 / 3, abs=1e-6)
        assert found["interval"][0] < found["score"] < found["interval"][1]
        assert found["requests"] == 6
        assert found["tokens"] > 0
        assert [row["passed"] for row in found["rows"]] == [True, True, False, False, True, True]
        assert found["rows"][2]["detail"] == "says 5, not 4"
        assert "q2" in (out / "report.html").read_text("utf-8")
        assert len(list((tmp_path / "failed").glob("*.yaml"))) == 2
        assert run([*command, "--trials", "2", "--min-score", "0.9"]) == 1
        assert len(server.requests) == asked  # the same again asks nothing anew
    assert run(["eval", "--out", str(out), "--compare", str(out)]) == 0
    compared = json.loads((out / "report.json").read_text("utf-8"))
    assert compared["comparison"]["verdict"] == "no clear difference"
    assert compared["setting"] == found["setting"]  # read and written again, nothing is lost
    page = (out / "report.html").read_text("utf-8")
    assert "Compared with an earlier evaluation" in page
    assert 'name="viewport"' in page


def test_a_name_that_is_none(capsys: Any, tmp_path: Path) -> None:
    assert run(["eval", "nosuch", "-e", "x:y", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert all(name in said for name in ("nosuch", "bfcl", "acebench", "dabench"))


@needs_engine
def test_graders_that_are_code_and_judges(tmp_path: Path, monkeypatch: Any) -> None:
    from qwenbelt.tools.code_interpreter import isolation_level

    monkeypatch.setenv("OPENAI_API_KEY", "k")
    code = "def grade(answer):\n    return answer.endswith('x'), 'ends in ' + answer[-1]"
    rows: list[dict[str, Any]] = [
        {"id": "judged", "question": "Explain.", "expect": {"judge": "It names a base case."}},
        {"id": "right", "question": "A word?", "expect": {"code": code}},
        {"id": "wrong", "question": "Another?", "expect": {"code": code}},
    ]
    if isolation_level() == "none":
        rows = rows[:1]
    path = tmp_path / "set.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    replies = {"Explain.": "It calls itself.", "A word?": "box", "Another?": "boy"}

    def reply(request: Any) -> dict[str, Any]:
        judged = "base case" in request.user
        return {"answer": "No base case.\nFAIL" if judged else replies[request.user]}

    with server_of(reply) as server:
        spec = f"openai:m@{server.url}"
        assert run(["eval", str(path), "-e", spec, "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    passed = {row["id"]: (row["passed"], row["detail"]) for row in found["rows"]}
    assert passed["judged"] == (False, "No base case.\nFAIL")
    if len(rows) > 1:
        assert passed["right"] == (True, "")
        assert passed["wrong"] == (False, "ends in y")


@needs_engine
def test_killed_and_started_again_it_goes_on(tmp_path: Path) -> None:
    path, out = cases(tmp_path / "set.jsonl", 6), tmp_path / "out"
    seen: list[str] = []

    def reply(request: Any) -> dict[str, Any]:
        seen.append(request.user)
        if len(seen) > 3:
            time.sleep(0.3)
        return adds(request)

    with server_of(reply) as server:
        program = "from qwenbelt.apps.cli import main; main()"
        command = [sys.executable, "-c", program, "eval", str(path), "--out", str(out)]
        command += ["-e", f"openai:m@{server.url}", "--in-flight", "1"]
        environment = {**os.environ, "OPENAI_API_KEY": "k"}
        first = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        while len(seen) < 4 and first.poll() is None:
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)
        first.wait()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    found = json.loads((out / "report.json").read_text("utf-8"))
    assert len(found["rows"]) == 6
    assert sum(row["passed"] for row in found["rows"]) == 5
    assert len(seen) <= 8  # only what was under way is asked again


@needs_engine
def test_the_example(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    example = runpy.run_path(str(ROOT / "examples" / "evaluate_a_model.py"))
    # not `capsys`: the engine's logger would keep its stream
    with (
        server_of(lambda request: {"answer": "42 blue"}) as server,
        contextlib.redirect_stdout(io.StringIO()) as output,
    ):
        example["main"](str(tmp_path / "out"), f"openai:m@{server.url}")
    said = output.getvalue()
    assert "sum passed" in said
    assert "json failed" in said


def test_berkeley_by_its_own_checkers() -> None:
    pytest.importorskip("bfcl_eval")
    found = check_set(BerkeleySet(None), 200)
    passed, of = found["oracle"]
    assert passed == of > 100
    assert found["no-op"][0] == found["adversarial"][0] == 0
