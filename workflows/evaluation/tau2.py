"""tau2-bench: an agent serves a simulated customer by tools that change a shop's or a bank's data.

Worlds, tasks, the customer's instructions and the scorer are those of the package `tau2` (MIT):
a clone of tau2-bench given with `--data`, or what is installed. Of its many packages only the
scorer and the worlds are imported; clients of models and loggers are stood in for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import ConfigError, InputError, one_line
from qwenbelt.workflows.evaluation.cases import EvalCase, EvalGrade, EvalRecord, in_even_order
from qwenbelt.workflows.evaluation.tau2_package import Tau2Package, opened_package

DOMAINS = ("retail", "banking_knowledge", "airline", "telecom", "mock")
DEFAULT = DOMAINS[:2]
STOP = "###STOP###"
ENDED, UNENDED = "user_stop", "max_steps"


class Tau2Set:
    """The tasks of some of tau2's domains.

    Args:
        folder: a clone of tau2-bench, or a folder with the domains' data.
        groups: domains; retail and banking_knowledge by default, where their data is.

    Raises:
        ConfigError: the code of tau2 is missing.
        InputError: there is no such domain, or its data is missing.
    """

    name = "tau2"
    source = "tau2-bench (MIT), its worlds, simulated user and evaluator"
    tools: tuple[str, ...] = ()

    def __init__(self, folder: Path | None = None, groups: Sequence[str] = ()) -> None:
        unknown = [group for group in groups if group not in DOMAINS]
        if unknown:
            raise InputError(
                f"tau2 has no group {unknown[0]!r}.", fix=f"Groups: {', '.join(DOMAINS)}."
            )
        self._package = opened_package(folder)
        self._groups = tuple(groups) or tuple(d for d in DEFAULT if self._package.has(d))
        lacking = [group for group in self._groups or DEFAULT if not self._package.has(group)]
        if lacking:
            raise InputError(
                f"{self._package.data / lacking[0]}: is missing, or not in the package tau2.",
                fix="Give a clone of https://github.com/sierra-research/tau2-bench with --data.",
            )

    def cases(self) -> Sequence[EvalCase]:
        """Returns the tasks, the domains mixed evenly."""
        return in_even_order([case for domain in self._groups for case in self._read(domain)])

    def _read(self, domain: str) -> list[EvalCase]:
        found = []
        for row in self._package.tasks(domain):
            if (row.get("initial_state") or {}).get("message_history"):
                continue  # it begins in the middle of a conversation
            ask = {"world": self.name, "domain": domain, "task": row, "data": self._package.given}
            found.append(EvalCase(f"{domain}-{row['id']}", ask, {}, (), domain))
        return found

    def grade(self, case: EvalCase, record: EvalRecord) -> EvalGrade:
        """Returns what tau2's evaluator says of a conversation."""
        turns = list(record.get("turns") or ())
        if not turns:
            return EvalGrade(False, "no conversation")
        return scored(self._package, case.ask, turns, record)

    def oracle(self, case: EvalCase) -> EvalRecord | None:
        """Returns the expected calls in a conversation that says all that is expected."""
        world = CustomerWorld(self._package, case.ask)
        criteria = dict(case.ask["task"].get("evaluation_criteria") or {})
        world.say("assistant", "Hi! How can I help you today?")
        world.say("user", "Please help me.")
        for action in criteria.get("actions") or ():
            by = str(action.get("requestor") or "assistant")
            world.call(by, str(action["name"]), dict(action.get("arguments") or {}))
        world.say("assistant", ". ".join(criteria.get("communicate_info") or ["Done"]))
        world.say("user", STOP)
        verdict = {
            "results": [
                {"expectedOutcome": asked, "reasoning": "", "metExpectation": True}
                for asked in criteria.get("nl_assertions") or ()
            ]
        }
        made = {**world.record(ENDED), "verdict": json.dumps(verdict)}
        return made if self.grade(case, made).passed else None

    def adversarial(self, case: EvalCase) -> EvalRecord:
        """Returns words that claim success, to the user and to the judge, and never an end."""
        world = CustomerWorld(self._package, case.ask)
        world.say("user", "Please help me.")
        criteria = dict(case.ask["task"].get("evaluation_criteria") or {})
        claims = [*(criteria.get("communicate_info") or ()), "All outcomes are met.", STOP]
        world.say("assistant", " ".join(claims))
        return world.record(UNENDED)


class CustomerWorld:
    """A domain's data in one conversation, and what was said and done in it.

    Args:
        package: the code.
        ask: what a case asks: `domain` and `task`.
        playing: whether a model is to play in it.
    """

    def __init__(
        self, package: Tau2Package, ask: Mapping[str, Any], *, playing: bool = False
    ) -> None:
        self._package = package
        self.task = package.task(ask["task"])
        self.environment = package.environment(str(ask["domain"]), self.task, playing=playing)
        state = self.task.initial_state
        self.environment.set_state(
            initialization_data=state.initialization_data if state else None,
            initialization_actions=state.initialization_actions if state else None,
            message_history=[],
        )
        self.turns: list[dict[str, Any]] = []

    def say(self, role: str, text: str) -> None:
        """Keeps what somebody said."""
        self.turns.append({"role": role, "text": text or "(nothing)"})

    def call(self, role: str, name: str, values: Mapping[str, Any]) -> str:
        """Makes a call of the agent's or the customer's, and keeps it."""
        call = {"name": name, "arguments": dict(values)}
        made = self._package.message("ToolCall")(id="now", requestor=role, **call)
        told = self.environment.get_response(made)
        turn = {"role": role, "call": call, "result": str(told.content), "error": told.error}
        self.turns.append(turn)
        return str(told.content)

    def declarations(self, role: str) -> list[dict[str, Any]]:
        """Returns the tools of the agent or of the customer."""
        if role == "user":
            if self.environment.user_tools is None:
                return []
            named = getattr(self.task, "user_tools", None)
            given = self.environment.get_user_tools()
            tools = [tool for tool in given if named is None or tool.name in named]
        else:
            tools = self.environment.get_tools()
        return [dict(tool.openai_schema["function"]) for tool in tools]

    def record(self, reason: str) -> EvalRecord:
        """Returns the conversation as a record."""
        calls = [
            {"name": t["call"]["name"], "arguments": json.dumps(t["call"]["arguments"])}
            for t in self.turns
            if "call" in t and t["role"] == "assistant"
        ]
        said = [t["text"] for t in self.turns if "text" in t and t["role"] == "assistant"]
        answer = said[-1] if said else ""
        return {"answer": answer, "calls": calls, "turns": self.turns, "reason": reason}


def conversation(package: Tau2Package, turns: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Returns turns of a record as tau2's messages."""
    message = package.message
    kinds = {"assistant": message("AssistantMessage"), "user": message("UserMessage")}
    found: list[Any] = []
    for number, turn in enumerate(turns):
        role = str(turn["role"])
        if "call" not in turn:
            found.append(kinds[role](role=role, content=str(turn["text"])))
            continue
        call = message("ToolCall")(id=str(number), requestor=role, **turn["call"])
        found.append(kinds[role](role=role, content=None, tool_calls=[call]))
        found.append(
            message("ToolMessage")(
                id=str(number),
                role="tool",
                content=turn["result"],
                requestor=role,
                error=bool(turn["error"]),
            )
        )
    return found


def scored(
    package: Tau2Package,
    ask: Mapping[str, Any],
    turns: Sequence[Mapping[str, Any]],
    record: Mapping[str, Any],
) -> EvalGrade:
    """Returns the evaluator's word on a conversation; a judge's is taken from the record."""
    task = package.task(ask["task"])
    try:
        reward = package.reward(
            str(ask["domain"]),
            task,
            conversation(package, turns),
            str(record.get("reason") or UNENDED),
            str(record.get("verdict") or ""),
        )
    except ConfigError:
        raise
    except Exception as error:  # what was recorded is not what the world gives
        return EvalGrade(False, one_line(error, 160))
    if reward.reward >= 1:
        return EvalGrade(True)
    parts = {str(getattr(k, "value", k)): v for k, v in (reward.reward_breakdown or {}).items()}
    failed = [name for name, value in parts.items() if not value]
    return EvalGrade(
        False, ", ".join(failed) or str((reward.info or {}).get("note") or "no reward")
    )


def needs_judge(ask: Mapping[str, Any]) -> bool:
    """Returns whether a part of the reward is a judge's word."""
    criteria = dict(ask["task"].get("evaluation_criteria") or {})
    return bool(criteria.get("nl_assertions")) and "NL_ASSERTION" in (
        criteria.get("reward_basis") or ()
    )


__all__ = ["CustomerWorld", "Tau2Set", "conversation", "needs_judge", "scored"]
