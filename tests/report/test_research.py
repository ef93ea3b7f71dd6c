"""Research: a plan, searchers side by side, a cited report, and going on after a stop."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.apps import cli
from qwenbelt.core.errors import QwenbeltError
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.workflows.report import check_report
from qwenbelt.workflows.research import research
from qwenbelt.workflows.research.job import ResearchState

ASK = "How strong are the lots, on average?"
PARTS = ["How strong is lot A on average?", "How strong is lot B on average?"]


class Model:
    """Replies as planner, searcher and writer; notes who asked."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.silent: set[str] = set()  # questions that are not answered
        self.plan: Any = {"questions": PARTS}
        self.broken_writer = False

    def __call__(self, request: Any) -> dict[str, Any]:
        messages = [(m["role"], str(m["content"])) for m in request.messages]
        system = " ".join(text for role, text in messages if role == "system")
        said = next(text for role, text in messages if role == "user")
        results = [text for role, text in messages if role == "tool"]
        if "You plan research" in system:
            self.log.append("plan")
            return {"answer": self.plan}
        if "You look up one question" in system:
            return self._searched(said, results)
        self.log.append("report")
        if self.broken_writer:
            return {"answer": " "}
        assert "[999]" not in said
        heads = [line for line in said.splitlines() if "] steel.pdf p.1" in line]
        cite = heads[-1].partition(" ")[0]
        return {"answer": f"# Strength\n\nLot A has 412 MPa {cite}, lot B 398 MPa {cite}."}

    def _searched(self, said: str, results: list[str]) -> dict[str, Any]:
        part = next(one for one in PARTS if one in said)
        if part in self.silent:
            return {"answer": " "}
        if not results:
            return {"calls": [("document_search", {"query": "mean tensile strength"})]}
        self.log.append(part)
        number = results[-1].split("[", 1)[1].split("]", 1)[0]
        return {"answer": f"It is {412 if 'lot A' in part else 398} MPa [{number}] [999]."}


@pytest.fixture
def model() -> Model:
    return Model()


def served(model: Model) -> ScriptedServer:
    scenario = Scenario()
    for _ in range(6):
        scenario.turn(compute=model)
    return ScriptedServer(scenario, plays=None, strict=False)


def test_a_report_of_what_searchers_found(model: Model, steel: Path, tmp_path: Path) -> None:
    with served(model) as server:
        result = research(ASK, [steel], tmp_path / "out", llm=server.llm)
    assert model.log[0] == "plan"
    assert sorted(model.log[1:3]) == PARTS
    assert model.log[-1] == "report"
    assert result.document.grounded
    check = check_report(tmp_path / "out")
    assert check.ok, check.problems
    assert check.verified == check.citations > 0


def test_it_goes_on_where_it_was(model: Model, steel: Path, tmp_path: Path) -> None:
    with served(model) as server:
        model.broken_writer = True
        with pytest.raises(QwenbeltError):
            research(ASK, [steel], tmp_path / "out", llm=server.llm)
        model.log.clear()
        model.broken_writer = False
        research(ASK, [steel], tmp_path / "out", llm=server.llm)
        assert set(model.log) == {"report"}  # neither the plan nor a searcher again
        model.log.clear()
        research(ASK, [steel], tmp_path / "out", llm=server.llm)
        assert "plan" in model.log  # what is done is not kept


def test_a_searcher_that_fails_is_told_and_costs_no_other(
    model: Model, steel: Path, tmp_path: Path
) -> None:
    model.silent = {PARTS[0]}
    with served(model) as server:
        result = research(ASK, [steel], tmp_path / "out", llm=server.llm)
        assert PARTS[1] in model.log
        assert result.document.citations
        model.silent = set(PARTS)
        with pytest.raises(QwenbeltError, match="without an answer"):
            research(ASK, [steel], tmp_path / "other", llm=server.llm, fresh=True)


def test_a_plan_that_is_none_leaves_the_question_whole(
    model: Model, steel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    model.plan = {"questions": [" "]}
    PARTS.append(ASK)
    try:
        with served(model) as server:
            words = [ASK, "-f", str(steel), "--out", str(tmp_path / "out"), "--json"]
            code = cli.run(["research", *words, "-e", f"openai:m@{server.url}"])
        assert code == 0, capsys.readouterr().err
        assert ASK in model.log
    finally:
        PARTS.remove(ASK)
    assert cli.run(["report", "--verify", str(tmp_path / "out")]) == 0
    assert cli.run(["research", ASK, "--out", "x"]) == 2


def test_findings_that_come_together_are_kept_one_after_the_other(
    model: Model, steel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once: list[int] = []
    running: list[int] = []
    kept = ResearchState.keep

    def slowly(self: ResearchState) -> None:
        running.append(1)
        time.sleep(0.2)
        at_once.append(len(running))
        kept(self)
        running.pop()

    monkeypatch.setattr(ResearchState, "keep", slowly)
    with served(model) as server:
        research(ASK, [steel], tmp_path / "out", llm=server.llm)
    assert at_once == [1, 1, 1]  # the plan and two findings
