"""`evaluate()`: the cases of a set as a durable batch, graded by code when they are done."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qwenbelt.core.files import output_folder
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.workflows.batch.job import BatchProgress, batch
from qwenbelt.workflows.batch.tasks import NO_TOOLS, Task, TaskOptions, task_of, with_agent
from qwenbelt.workflows.evaluation.attempts import JOB, REPORT
from qwenbelt.workflows.evaluation.cases import EvalCase, EvalSet, answer_record
from qwenbelt.workflows.evaluation.graders import CodeGrader
from qwenbelt.workflows.evaluation.outcome import EvalOutcome, EvalTrial
from qwenbelt.workflows.evaluation.sets import set_of

FILE_TOOLS = ("code_interpreter", "document_search", "read_document", "plot")


@dataclass(frozen=True)
class EvalSetting:
    """How an evaluation is run.

    Attributes:
        endpoint: who answers; None looks for one.
        agent: "fncall", "react", "assistant", an agent's file, or "report".
        tools: names of tools; what the set needs by default.
        tool_format: how calls are written; what suits the endpoint by default.
        temperature: of the model; 0 by default.
        max_tokens: of a reply.
        system: the system message.
        trials: attempts at each case.
        limit: at most this many cases.
        groups: only these groups of the set.
        data: the folder of the set's data, or of its files.
        user: who plays a simulated user and judges it; the endpoint itself by default.
        in_flight: attempts at the same time.
        retry: try attempts again that failed for the endpoint's sake.
        allow_unsandboxed: run graders that are code where there is no sandbox.
    """

    endpoint: str | None = None
    agent: str = "fncall"
    tools: tuple[str, ...] = ()
    tool_format: str | None = None
    temperature: float | None = 0.0
    max_tokens: int | None = None
    system: str | None = None
    trials: int = 1
    limit: int | None = None
    groups: tuple[str, ...] = ()
    data: str | None = None
    user: str | None = None
    in_flight: int = 8
    retry: bool = False
    allow_unsandboxed: bool = False


def evaluate(
    name: str,
    out: str | Path,
    setting: EvalSetting | None = None,
    *,
    tell: Callable[[BatchProgress], None] = lambda progress: None,
) -> EvalOutcome:
    """Runs a benchmark or one's own set; called again, it resumes where it was.

    Args:
        name: a benchmark's name, or a JSONL file.
        out: the folder for `report.json`, `report.html`, the attempts' files and the database.
        setting: how it is run.
        tell: called with the state, repeatedly.

    Raises:
        InputError: the set cannot be read.
        ConfigError: a package that the set needs is missing, or no endpoint is found.
    """
    chosen = setting or EvalSetting()
    with CodeGrader(allow_unsandboxed=chosen.allow_unsandboxed) as code:
        return _evaluated(set_of(name, chosen.data, chosen.groups, code), out, chosen, tell)


def _evaluated(
    found: EvalSet,
    out: str | Path,
    chosen: EvalSetting,
    tell: Callable[[BatchProgress], None],
) -> EvalOutcome:
    cases = list(found.cases())[: chosen.limit]
    options = _options(found, chosen)
    tasks = {
        (case.id, trial): _task(case, trial, options, chosen)
        for case in cases
        for trial in range(1, chosen.trials + 1)
    }
    folder = output_folder(out)
    made = batch(
        list(tasks.values()), folder, in_flight=chosen.in_flight, retry=chosen.retry, tell=tell
    )
    outcome = EvalOutcome(
        found.name, found.source, chosen.endpoint or "found", chosen.trials, complete=made.complete
    )
    outcome.setting = {k: v for k, v in asdict(chosen).items() if k not in ("in_flight", "retry")}
    lines, by_id = _lines(made.results), {case.id: case for case in cases}
    for (identity, trial), task in tasks.items():
        line = lines.get(task.id)
        if line is not None:
            outcome.rows.append(_graded(found, by_id[identity], trial, line))
    outcome.write(folder)
    return outcome


def check_set(found: EvalSet, limit: int | None = None) -> dict[str, tuple[int, int]]:
    """Grades what must pass and what must not, without a model; returns (passed, of) by row."""
    rows = {name: [0, 0] for name in ("oracle", "no-op", "adversarial")}
    for case in list(found.cases())[:limit]:
        known = found.oracle(case)
        tried = {"no-op": answer_record(""), "adversarial": found.adversarial(case)}
        if known is not None:
            tried["oracle"] = known
        for name, record in tried.items():
            rows[name][0] += found.grade(case, record).passed
            rows[name][1] += 1
    return {name: (passed, of) for name, (passed, of) in rows.items()}


def _options(found: EvalSet, chosen: EvalSetting) -> TaskOptions:
    options = TaskOptions(
        endpoint=chosen.endpoint,
        agent=chosen.agent,
        tools=list(chosen.tools or found.tools),
        system=chosen.system,
        tool_format=chosen.tool_format,
        temperature=chosen.temperature,
        max_tokens=chosen.max_tokens,
    )
    return options if chosen.agent == REPORT else with_agent(options)[0]


def _task(case: EvalCase, trial: int, options: TaskOptions, chosen: EvalSetting) -> Task:
    ask = dict(case.ask)
    if "world" in ask:  # played by agents of its own, which read no options
        ask |= {k: v for k, v in (("user", chosen.user), ("system", chosen.system)) if v}
    if case.files and not options.tools and options.agent != REPORT:
        options = options.model_copy(update={"tools": list(FILE_TOOLS)})
    elif NO_TOOLS in options.tools:
        options = options.model_copy(update={"tools": []})
    return task_of(
        {
            "id": f"{case.id}#{trial}",
            "kind": JOB,
            "subject": json.dumps(ask, ensure_ascii=False, sort_keys=True),
            "files": list(case.files),
            "options": options.model_dump(exclude_none=True),
        }
    )


def _lines(path: Path) -> dict[str, dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        lines = [loads_bounded(line) for line in file if line.strip()]
    return {str(line["id"]): line for line in lines}


def _graded(found: EvalSet, case: EvalCase, trial: int, line: dict[str, Any]) -> EvalTrial:
    record = line.get("result") or {}
    seconds = float(line.get("seconds") or 0.0)
    if not line["ok"]:
        return EvalTrial(case.id, trial, False, str(line["error"]), case.group, seconds=seconds)
    grade = found.grade(case, record)
    detail = grade.detail
    if not grade.passed and record.get("ended"):
        detail = f"{detail} ({record['ended']})"
    return EvalTrial(
        case.id,
        trial,
        grade.passed,
        detail,
        case.group,
        int(record.get("requests") or 0),
        int(record.get("input_tokens") or 0) + int(record.get("output_tokens") or 0),
        record.get("cost"),
        seconds,
    )


__all__ = ["EvalSetting", "check_set", "evaluate"]
