"""Cases that are played: tools that change a world, over several turns of a user."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qwenbelt.agents import Budget, FnCallAgent
from qwenbelt.agents.runtime.event_loop_thread import background_loop
from qwenbelt.core.errors import QwenbeltError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.workflows.batch.durable import DurableChat
from qwenbelt.workflows.evaluation.bfcl import MODEL, data_folder, offered_function, official_module
from qwenbelt.workflows.evaluation.cases import EvalRecord
from qwenbelt.workflows.evaluation.following import AttemptMeter, follow_run
from qwenbelt.workflows.evaluation.world_tools import WorldTool

MOST_STEPS = 20  # replies of a turn, as the leaderboard allows
_NAME = re.compile(r"[A-Za-z_]\w*")
_MORE = "I have updated some more functions you can choose from. What about now?"


def play_case(ask: Mapping[str, Any], llm: DurableChat, meter: AttemptMeter) -> EvalRecord:
    """Plays a case in its world.

    Raises:
        QwenbeltError: the endpoint failed, or the world is not known.
    """
    if ask["world"] == "bfcl":
        return _berkeley(ask, llm, meter)
    if ask["world"] == "agentdojo":
        return _dojo(ask, llm, meter)
    if ask["world"] == "tau2":
        from qwenbelt.workflows.evaluation.customers import serve

        return serve(ask, llm, meter)
    raise QwenbeltError(f"There is no world {ask['world']!r}.")


def _berkeley(ask: Mapping[str, Any], llm: DurableChat, meter: AttemptMeter) -> EvalRecord:
    entry = copy.deepcopy(ask["entry"])
    folder = data_folder(Path(ask["data"]))
    functions = _world_functions(entry, folder)
    later = {int(turn): names for turn, names in (entry.get("missed_function") or {}).items()}
    held = {name for names in later.values() for name in names}
    utils = official_module("eval_checker.multi_turn_eval.multi_turn_utils")
    name = f"{MODEL}_{id(meter)}"
    steps: list[str] = []

    def run(tool: str, values: Any) -> str:
        call = as_python(tool, values)
        steps.append(call)
        results, _ = utils.execute_multi_turn_func_call(
            [call],
            entry["initial_config"],
            entry["involved_classes"],
            name,
            entry["id"],
            long_context="long_context" in entry["id"],
        )
        return str(results[0])

    turns: list[list[list[str]]] = []
    messages: list[dict[str, Any]] = []
    answer = ""
    for number, asked in enumerate(entry["question"]):
        if number in later:
            held -= set(later[number])
            asked = asked or [{"role": "user", "content": _MORE}]
        tools = [WorldTool(f, run) for f in functions if f["name"] not in held]
        agent = FnCallAgent(
            function_list=list(tools),
            llm=llm,
            budget=Budget(model_calls=MOST_STEPS),
            approve="auto",
        )
        messages += [dict(message) for message in asked]
        steps.clear()
        record = background_loop().run(follow_run(agent.stream(messages), meter))
        messages += record.pop("history")
        turns.append([[step] for step in steps] or [[]])
        answer = record["answer"]
    return {"answer": answer, "calls": [], "turns": turns, "ended": ""}


def _dojo(ask: Mapping[str, Any], llm: DurableChat, meter: AttemptMeter) -> EvalRecord:
    from qwenbelt.workflows.evaluation.agentdojo import DojoWorld, system_message

    world = DojoWorld(ask)
    agent = FnCallAgent(
        function_list=[WorldTool(one, world.run) for one in world.declarations()],
        llm=llm,
        system_message=str(ask.get("system") or system_message()),
        budget=Budget(model_calls=MOST_STEPS),
        approve="auto",
    )
    run = agent.stream([{"role": "user", "content": world.prompt}])
    record = background_loop().run(follow_run(run, meter))
    return {"answer": record["answer"], "calls": world.record(), "ended": record["ended"]}


def _world_functions(entry: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    files = official_module("constants.executable_backend_config").MULTI_TURN_FUNC_DOC_FILE_MAPPING
    found = []
    for world in entry["involved_classes"]:
        text = (folder / "multi_turn_func_doc" / files[world]).read_text("utf-8")
        found += [
            offered_function(loads_bounded(line)) for line in text.splitlines() if line.strip()
        ]
    left_out = set(entry.get("excluded_function") or ())
    return [function for function in found if function["name"] not in left_out]


def as_python(name: str, values: Any) -> str:
    """Returns a call as Python; a model's values become literals, and names are names.

    The leaderboard's worlds evaluate what this returns.

    Raises:
        QwenbeltError: a name is none.
    """
    given = values if isinstance(values, dict) else {}
    for word in (name, *given):
        if not _NAME.fullmatch(str(word)):
            raise QwenbeltError(f"{json.dumps(str(word))} is not a name.")
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in given.items())})"
