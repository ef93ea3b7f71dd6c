"""Plays a conversation of tau2: an agent with a shop's tools, and a customer played by a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qwenbelt.agents import Budget, FnCallAgent, endpoint
from qwenbelt.agents.runtime.event_loop_thread import background_loop
from qwenbelt.core.errors import QwenbeltError
from qwenbelt.workflows.batch.durable import DurableChat
from qwenbelt.workflows.evaluation.cases import EvalRecord
from qwenbelt.workflows.evaluation.following import AttemptMeter, follow_run
from qwenbelt.workflows.evaluation.tau2 import (
    ENDED,
    UNENDED,
    CustomerWorld,
    conversation,
    needs_judge,
)
from qwenbelt.workflows.evaluation.tau2_package import opened_package
from qwenbelt.workflows.evaluation.world_tools import WorldTool

GREETING = "Hi! How can I help you today?"
MOST_TURNS = 50  # of the customer, as 200 steps of the benchmark's own runner
MOST_CALLS = 30  # of a model, in one turn
STOPS = ("###STOP###", "###TRANSFER###", "###OUT-OF-SCOPE###")


def serve(ask: Mapping[str, Any], llm: DurableChat, meter: AttemptMeter) -> EvalRecord:
    """Plays a conversation to its end, and has a judge asked where the task wants it.

    Raises:
        QwenbeltError: an endpoint failed.
    """
    package = opened_package(Path(ask["data"]) if ask["data"] else None)
    world = CustomerWorld(package, ask, playing=True)
    other = DurableChat(endpoint(str(ask["user"])), llm.steps) if ask.get("user") else llm
    people = world.declarations("user")
    agent = _player(world, "assistant", llm, package.agent(world.environment.policy))
    customer = _player(world, "user", other, package.customer(world.task, bool(people)))
    reason = _talk(world, agent, customer, meter)
    record = world.record(reason)
    if needs_judge(ask) and reason == ENDED:
        wanted = list(world.task.evaluation_criteria.nl_assertions)
        record["verdict"] = _verdict(package, world, wanted, other, meter)
    return {**record, "ended": "" if reason == ENDED else reason}


def _player(world: CustomerWorld, role: str, llm: DurableChat, system: str) -> FnCallAgent:
    def run(name: str, values: Any) -> str:
        return world.call(role, name, values)

    return FnCallAgent(
        function_list=[WorldTool(one, run) for one in world.declarations(role)],
        llm=llm,
        system_message=system,
        budget=Budget(model_calls=MOST_CALLS),
        approve="auto",
    )


def _talk(
    world: CustomerWorld, agent: FnCallAgent, customer: FnCallAgent, meter: AttemptMeter
) -> str:
    """Lets the two talk until the customer ends it; returns why it ended."""
    world.say("assistant", GREETING)
    heard: list[dict[str, Any]] = [{"role": "assistant", "content": GREETING}]
    told: list[dict[str, Any]] = [{"role": "user", "content": GREETING}]
    for _ in range(MOST_TURNS):
        said = _turn(customer, told, meter)
        world.say("user", said)
        if any(sign in said for sign in STOPS):
            return ENDED
        heard.append({"role": "user", "content": said})
        answer = _turn(agent, heard, meter)
        world.say("assistant", answer)
        told.append({"role": "user", "content": answer or "(says nothing)"})
    return UNENDED


def _turn(player: FnCallAgent, messages: list[dict[str, Any]], meter: AttemptMeter) -> str:
    record = background_loop().run(follow_run(player.stream(messages), meter))
    messages += record.pop("history")
    return str(record["answer"])


def _verdict(
    package: Any, world: CustomerWorld, wanted: list[str], judge: DurableChat, meter: AttemptMeter
) -> str:
    """Returns what the judge says; a judge that says something else has not passed it."""
    said: list[str] = []

    def speak(messages: list[Any]) -> str:
        system = "\n".join(str(m.content) for m in messages if m.role == "system")
        asked = "\n".join(str(m.content) for m in messages if m.role != "system")
        player = FnCallAgent(
            llm=judge, system_message=system, budget=Budget(model_calls=1), approve="auto"
        )
        text = _turn(player, [{"role": "user", "content": asked}], meter)
        said.append(text[text.find("{") : text.rfind("}") + 1])
        return said[-1]

    try:
        package.judged(conversation(package, world.turns), wanted, speak)
        value = json.loads(said[-1])
        complete = len(value.get("results") or ()) >= len(wanted)
    except QwenbeltError:
        raise
    except Exception:  # its words are not the verdict that was asked for
        return "{}"
    return said[-1] if complete else "{}"


__all__ = ["serve"]
