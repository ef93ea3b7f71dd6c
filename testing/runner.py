"""Plays scenarios with an agent and checks what it did.

    runs = play(load_scenario("strength.scenario.yaml"))          # our agent, scripted model
    runs = play(scenario, lambda llm: MyAgent(llm=llm))           # your agent
    runs = play(scenario, llm=endpoint("ollama:qwen3:8b"))        # a real model: only the checks

Unless `then` says otherwise, a run must end with an answer and no call may fail.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import ConfigError, InputError
from qwenbelt.core.trace import TraceWriter
from qwenbelt.testing.checks.checks import all_ok, ended
from qwenbelt.testing.checks.trajectory import Trajectory
from qwenbelt.testing.checks.wire import delivered
from qwenbelt.testing.checks.yaml_checks import checks_of
from qwenbelt.testing.errors import ScenarioFailed, did_you_mean
from qwenbelt.testing.scenarios.scenario import Conversation, Scenario
from qwenbelt.testing.server.server import ScriptedServer

AgentMaker = Callable[[dict[str, Any]], Any]


def record(agent: Any, *questions: str, server: ScriptedServer | None = None) -> Trajectory:
    """Asks an agent one or more questions in a row and returns what it did.

    Args:
        agent: ours, or any of qwen-agent's; the latter needs `server`, since it writes no trace.
        *questions: the person's messages, one after another.
        server: the scripted endpoint that the agent talks to.

    Raises:
        ConfigError: an agent without a trace was given without a server.
    """
    if not hasattr(agent, "stream"):
        if server is None:
            raise ConfigError("This agent writes no trace; give the scripted `server` too.")
        _ask_agent(agent, questions, {})
        return Trajectory.from_server(server)
    with TraceWriter() as trace:
        _ask_agent(agent, questions, {"trace": trace})
    run = Trajectory.from_records(trace.lines)
    return run if server is None else run.beside(server)


def _ask_agent(agent: Any, questions: Sequence[str], keywords: Mapping[str, Any]) -> None:
    messages: list[Any] = []
    for question in questions:
        messages.append({"role": "user", "content": question})
        messages += agent.run_nonstream(list(messages), **keywords) or []


def play(
    scenario: Scenario | str | Path,
    agent: AgentMaker | None = None,
    *,
    llm: dict[str, Any] | None = None,
    runs: list[Trajectory] | None = None,
) -> list[Trajectory]:
    """Plays a scenario and makes its checks; returns one trajectory a conversation.

    Args:
        scenario: a `Scenario`, a path, or YAML text.
        agent: makes the agent from an llm dict; by default the one that the scenario names.
        llm: the llm dict of a real endpoint. Its replies are its own, so only `then` is checked.
        runs: a list to which runs are added as they end, for those who want them on failure too.

    Raises:
        CheckFailed: what did not hold, with the run's lanes.
        InputError: the scenario cannot be played, for example without a question.
    """
    from qwenbelt.testing.scenarios.yaml_file import as_scenario

    script = as_scenario(scenario)
    make = agent or maker_of(script)
    runs = [] if runs is None else runs
    if llm is not None:
        for conversation in script.conversations:
            runs.append(record(make(llm), *questions(conversation)))
            _checked_run(script, conversation, runs[-1])
        return runs
    with ScriptedServer(script) as server:
        for conversation in script.conversations:
            seen = len(server.requests)
            run = _recorded_conversation(server, make, conversation)
            run.requests = server.requests[seen:]
            runs.append(run)
        server.assert_complete()
    for conversation, run in zip(script.conversations, runs, strict=True):
        _checked_run(script, conversation, run.check(delivered()))
    return runs


def _recorded_conversation(
    server: ScriptedServer, make: AgentMaker, conversation: Conversation
) -> Trajectory:
    try:
        return record(make(server.llm), *questions(conversation), server=server)
    except Exception as error:  # an agent may raise anything after a refusal; that is the cause
        if server.problems:
            raise ScenarioFailed("\n".join(server.problems)) from error
        raise


def questions(conversation: Conversation) -> list[str]:
    """Returns the person's messages in a conversation.

    Raises:
        InputError: it does not say what the person asks.
    """
    if not conversation.say:
        raise InputError("The scenario does not say what is asked.", fix="Add `say: …` at its top.")
    return [conversation.say, *(turn.say for turn in conversation.turns if turn.say)]


def _checked_run(scenario: Scenario, conversation: Conversation, run: Trajectory) -> Trajectory:
    then = {**scenario.then, **conversation.then}
    checks = checks_of(then)
    if "ended" not in then:
        checks.append(ended())
    if "failed" not in then:
        checks.append(all_ok())
    return run.check(*checks)


def maker_of(scenario: Scenario) -> AgentMaker:
    """Returns the function that makes the scenario's agent from an llm dict.

    Raises:
        ConfigError: the scenario names an agent or a tool that is not there.
    """
    from qwenbelt.agents.kinds import AGENT_KINDS, agent_class

    kind = scenario.agent or "fncall"
    if ":" in kind:
        return _named_errors(kind, scenario)
    known = next((name for name in AGENT_KINDS if name == kind), None)
    if known is None:
        hint = did_you_mean(kind, AGENT_KINDS)
        raise ConfigError(f"There is no agent {kind!r}.{hint}", fix="Or write module:function.")

    def make(llm: dict[str, Any]) -> Any:
        base = scenario.source.parent if scenario.source else Path()
        files = [str(base / name) for name in scenario.files]
        system = scenario.system or ""
        return agent_class(known)(
            function_list=tools_of(scenario), llm=llm, system_message=system, files=files
        )

    return make


def _named_errors(place: str, scenario: Scenario) -> AgentMaker:
    module_name, _, name = place.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"The agent {place!r} cannot be imported ({error}).") from error
    wants = inspect.signature(found).parameters
    if "scenario" in wants:
        return lambda llm: found(llm, scenario=scenario)
    return lambda llm: found(llm)


def tools_of(scenario: Scenario) -> list[str]:
    """Returns the names of the scenario's tools: those it lists, else those it calls.

    Raises:
        ConfigError: a tool is not registered.
    """
    turns = [turn for c in scenario.conversations for turn in c.turns if not turn.unoffered]
    called = [call.name for turn in turns for call in turn.calls]
    names = list(scenario.tools or dict.fromkeys(called))
    if names:
        from qwen_agent.tools import TOOL_REGISTRY

        import qwenbelt.tools  # noqa: F401  registers our tools

        for name in names:
            if name not in TOOL_REGISTRY:
                hint = did_you_mean(name, TOOL_REGISTRY)
                raise ConfigError(
                    f"There is no tool {name!r}.{hint}",
                    fix="Register it in conftest.py, or name your agent: `agent: module:function`.",
                )
    return names
