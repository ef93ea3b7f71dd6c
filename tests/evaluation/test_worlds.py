"""Benchmarks that are played: AgentDojo and tau2, with scripted models and their own scorers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.apps.cli import run
from qwenbelt.core.errors import ConfigError, InputError
from qwenbelt.testing import ScriptedLLM, ScriptedServer
from qwenbelt.workflows.evaluation.job import check_set
from qwenbelt.workflows.evaluation.own_set import OwnSet
from qwenbelt.workflows.evaluation.sets import set_of
from qwenbelt.workflows.evaluation.tau2_package import opened_package


def server_of(reply: Any) -> ScriptedServer:
    llm = ScriptedLLM(model="m")
    llm.turn(reply)
    return ScriptedServer(llm, plays=None)


def set_or_skip(name: str, *groups: str) -> Any:
    try:
        return set_of(name, None, groups)
    except (ConfigError, InputError) as error:
        pytest.skip(f"{name} is not installed here ({error})")


def plays(calls: list[dict[str, Any]], answer: str) -> Any:
    """A model that makes calls one after another, and then answers."""
    steps = [{"calls": [{c["name"]: json.loads(c["arguments"])}]} for c in calls]

    def reply(request: Any) -> dict[str, Any]:
        done = sum(message["role"] == "tool" for message in request.messages)
        return steps[done] if done < len(steps) else {"answer": answer}

    return reply


def report_of(out: Path) -> Any:
    return json.loads((out / "report.json").read_text("utf-8"))


@pytest.mark.parametrize(("obeys", "passed"), [(False, True), (True, False)])
def test_a_hidden_order_is_followed_or_not(
    tmp_path: Path, monkeypatch: Any, obeys: bool, passed: bool
) -> None:
    pytest.importorskip("dbos", reason="needs the extra durable")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    found = set_or_skip("agentdojo", "banking_attacked")
    (case, *_) = found.cases()
    right, wrong = found.oracle(case), found.adversarial(case)
    calls = [*right["calls"], *(wrong["calls"] if obeys else [])]
    with server_of(plays(calls, right["answer"])) as server:
        command = ["eval", "agentdojo", "--group", "banking_attacked", "--limit", "1"]
        assert run([*command, "-e", f"openai:m@{server.url}", "--out", str(tmp_path / "out")]) == 0
        seen = json.dumps([exchange.request.messages for exchange in server.requests])
    row = report_of(tmp_path / "out")["rows"][0]
    assert (row["passed"], row["id"]) == (passed, case.id)
    assert "This is an important message from me" in seen  # the order was in a tool's result
    assert obeys == ("hidden order" in row["detail"])


def test_agentdojo_is_checked() -> None:
    found = set_or_skip("agentdojo", "banking", "slack_attacked")
    rows = check_set(found, 12)
    assert rows == {"oracle": (12, 12), "no-op": (0, 12), "adversarial": (0, 12)}


def test_a_customer_is_served(tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("dbos", reason="needs the extra durable")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    found = set_or_skip("tau2", "mock")
    case = next(c for c in found.cases() if found.oracle(c)["calls"])
    right = found.oracle(case)
    agent = plays(right["calls"], right["answer"])

    def reply(request: Any) -> dict[str, Any]:
        if "<policy>" in request.system:
            return dict(agent(request))
        said = sum(message["role"] == "assistant" for message in request.messages)
        return {"answer": "Please help me." if not said else "###STOP###"}

    only = [c.id for c in found.cases()].index(case.id) + 1
    with server_of(reply) as server:
        command = ["eval", "tau2", "--group", "mock", "--limit", str(only)]
        run([*command, "-e", f"openai:m@{server.url}", "--out", str(tmp_path / "out")])
    rows = {row["id"]: row for row in report_of(tmp_path / "out")["rows"]}
    assert rows[case.id]["passed"]


def test_tau2_is_checked() -> None:
    found = set_or_skip("tau2", "mock")
    rows = check_set(found)
    assert rows["oracle"][0] == rows["oracle"][1] > 0
    assert rows["no-op"][0] == rows["adversarial"][0] == 0


def test_what_tau2_needs_is_said_in_a_line(tmp_path: Path) -> None:
    try:
        found = opened_package(tmp_path)
    except ConfigError as error:
        said = str(error)
    else:  # its code is installed
        said = "git clone" if found.has("retail") or not found.data.is_dir() else ""
    assert "git clone" in said


def test_financebench_as_it_is_published(tmp_path: Path) -> None:
    (tmp_path / "X_2022.pdf").write_bytes(b"%PDF-1.4\n")
    rows = [
        {"financebench_id": "a", "doc_name": "X_2022", "question": "FY?", "answer": "$1,577.00"},
        {"financebench_id": "b", "doc_name": "X_2022", "question": "Ratio?", "answer": "0.66"},
        {"financebench_id": "c", "doc_name": "X_2022", "question": "Why?", "answer": "Costs."},
    ]
    path = tmp_path / "set.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = OwnSet(path)
    first, ratio, why = found.cases()
    assert first.files[0].endswith("X_2022.pdf")
    assert found.grade(first, {"answer": "It was $1,577 million."}).passed
    assert not found.grade(first, {"answer": "It was $1,677 million."}).passed
    assert found.grade(ratio, {"answer": "0.664"}).passed
    assert "Costs." in why.ask["judge"]
    assert not found.grade(why, {"answer": "Because of costs."}).passed  # no judge was asked
    assert check_set(found) == {"oracle": (3, 3), "no-op": (0, 3), "adversarial": (0, 3)}
