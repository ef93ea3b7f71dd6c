"""Saves a run as a test: the model's replies become a script, what happened becomes checks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from qwenbelt.core.errors import InputError
from qwenbelt.core.secrets import mask_secrets
from qwenbelt.testing.checks.citations import citations, cited_in
from qwenbelt.testing.checks.normalization import normalised_text
from qwenbelt.testing.checks.trajectory import MadeCall, Trajectory
from qwenbelt.testing.scenarios.yaml_text import yaml_text

_FRAGMENT = 60  # characters of a result that the next turn expects
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_ACTION = re.compile(r"(?m)^\s*(?:Action|Final Answer)[ \t]*:")


def scenario_text(run: Trajectory, *, name: str = "", files: Sequence[str] = ()) -> str:
    """Returns a run as the YAML of a scenario, with checks on what happened.

    Keys are masked. Played back, the model repeats its replies and every tool runs for real.

    Args:
        run: the run, or several of one conversation.
        name: the scenario's name.
        files: names of the conversation's files, which are to be beside the scenario.

    Raises:
        InputError: the run has no reply of a model, or was not asked anything.
    """
    if not run.turns or not (run.answer or run.calls):
        raise InputError("The trace holds no reply of a model.")
    if not run.asked:
        raise InputError("The trace does not say what was asked.")
    scenario: dict[str, Any] = {}
    if name:
        scenario["name"] = name
    scenario["say"] = run.asked
    scenario |= _agent_entry(run)
    if files:
        scenario["files"] = list(files)
    scenario["turns"] = [turn for n in range(1, run.turns + 1) if (turn := _turn_entry(run, n))]
    scenario["then"] = _final_checks(run)
    head = (
        "# Saved from a run. The model's replies are played back; every tool runs for real.\n"
        "# Run it with pytest; edit what should be checked below `then`.\n"
    )
    return head + mask_secrets(yaml_text(scenario))


def _agent_entry(run: Trajectory) -> dict[str, Any]:
    out: dict[str, Any] = {}
    started = next((r for r in run.records if r.get("event") == "run_started"), {})
    if any(_ACTION.search(text) for text in run.said.values()):
        out["agent"] = "react"
    if started.get("tools"):
        out["tools"] = [str(name) for name in started["tools"]]
    return out


def _turn_entry(run: Trajectory, number: int) -> dict[str, Any]:
    calls = [call for call in run.calls if call.turn == number]
    turn: dict[str, Any] = {}
    if number > 1 and number in run.questions:
        turn["say"] = run.questions[number]
    expected = _expected_results([call for call in run.calls if call.turn == number - 1])
    if expected:
        turn["expect"] = {"results": expected}
    said = _ACTION.split(run.said.get(number, ""))[0].strip()
    thought = run.thought.get(number, "").strip()
    if thought:
        turn["think"] = _escaped(thought)
    if calls:
        if said:
            turn["text"] = _escaped(said)
        turn["calls"] = [{call.name: _escaped(call.arguments)} for call in calls]
    elif number == run.turns:
        turn["answer"] = _escaped(run.answer or said)
    elif said:
        turn["answer"] = _escaped(said)
    return turn


def _escaped(value: Any) -> Any:
    """Keeps `${` in texts from being read as the place of a result."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, Mapping):
        return {key: _escaped(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_escaped(inner) for inner in value]
    return value


def _expected_results(calls: list[MadeCall]) -> dict[str, Any]:
    """What the next request must bring: for each tool a part of its results that stays the same."""
    out: dict[str, list[Any]] = {}
    for call in calls:
        out.setdefault(call.name, []).append(_stable_part(call.result or ""))
    return {name: (many if len(many) > 1 else many[0]) for name, many in out.items()}


def _stable_part(result: str) -> Any:
    for line in result.splitlines():
        part = line.strip()[:_FRAGMENT]
        if len(part) > 1 and normalised_text(part) == part and mask_secrets(part) == part:
            return part if part == result else {"contains": part}
    return {"any": True}


def _final_checks(run: Trajectory) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if run.calls:
        out["calls"] = {"unordered": [call.name for call in run.calls]}
    overlap = _overlapping_calls(run)
    if overlap:
        out["overlap"] = overlap
    failed = sorted({call.name for call in run.calls if call.ok is False})
    if failed:
        out["failed"] = failed
    numbers = _numbers_from_tools(run)
    if numbers:
        out["answer"] = {"contains": numbers}
    if cited_in(run.answer) and not citations().failures(run):
        out["citations"] = True
    if run.reason not in ("", "answer"):
        out["ended"] = run.reason
    out["budget"] = {"turns": run.turns, "calls": len(run.calls)}
    return out


def _overlapping_calls(run: Trajectory) -> list[str]:
    """The largest group of calls that really ran at the same time, when there are two or more."""
    ran = [call for call in run.calls if call.started is not None and call.finished is not None]
    best: list[MadeCall] = []
    for call in ran:
        now = call.started or 0.0
        group = [c for c in ran if (c.started or 0.0) <= now < (c.finished or 0.0)]
        best = max(best, group, key=len)
    long_enough = [c for c in best if (c.finished or 0.0) - (c.started or 0.0) >= 0.01]
    names = Counter(call.name for call in long_enough)
    return sorted(names.elements()) if len(long_enough) > 1 else []


def _numbers_from_tools(run: Trajectory) -> list[str]:
    """Numbers of the answer that come from the tools: what a real model's answer must hold too."""
    results = "\n".join(call.result or "" for call in run.calls)
    found = set(_NUMBER.findall(results))
    told = [number for number in _NUMBER.findall(run.answer) if number in found and len(number) > 1]
    return list(dict.fromkeys(told))[:5]
