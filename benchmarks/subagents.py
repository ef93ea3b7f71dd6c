"""Subagents: side by side, three levels deep, and how soon a cancel or a budget has ended them.

    python benchmarks/subagents.py

The models are scripted and take 0.5 s each, so what is above that is ours.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from typing import Any

from qwenbelt import Budget, FnCallAgent, delegate
from qwenbelt.core.events import ToolStarted
from qwenbelt.testing import Scenario, ScriptedServer

WIDE, SECONDS = 16, 0.5


async def slow(request: Any) -> str:
    await asyncio.sleep(SECONDS)
    return "Done."


def agent(stack: ExitStack, scenario: Scenario, tools: Any = (), name: str = "a") -> FnCallAgent:
    server = stack.enter_context(ScriptedServer(scenario, plays=None, strict=False))
    return FnCallAgent(list(tools), llm=server.llm, name=name, description="Works.")


def wide() -> float:
    with ExitStack() as stack:
        worker = agent(stack, Scenario().turn(compute=slow), name="worker")
        tasks = [{"agent": "worker", "task": f"Task {n}"} for n in range(WIDE)]
        scenario = Scenario().turn(calls=[("delegate", {"tasks": tasks})]).answer("All done.")
        boss = agent(stack, scenario, [delegate([worker])])
        boss.ask("Begin.")  # connections and imports
        spans = []
        for event in boss.events("Begin."):
            if event.kind == "tool_finished" and event.name == "delegate":
                spans.append(event.finished - event.started)
        return float(spans[0])


def deep_cancel() -> tuple[float, float]:
    """Returns the seconds of three levels, and those from a cancel to the end of all."""
    with ExitStack() as stack:
        below = agent(stack, Scenario().turn(compute=slow), name="level3")
        for level in (2, 1):
            tool = below.as_tool("deeper", "Works on.")
            scenario = Scenario().turn(calls=[("deeper", {"task": "Go on."})]).answer("Done.")
            below = agent(stack, scenario, [tool], name=f"level{level}")
        below.ask("Begin.")
        began = time.perf_counter()
        below.ask("Begin.")
        whole = time.perf_counter() - began

        async def cancelled() -> float:
            run = below.stream([{"role": "user", "content": "Begin."}])
            depth = 0
            async for event in run:
                depth += isinstance(event, ToolStarted)
                if depth == 2:
                    await asyncio.sleep(0.1)  # the third one waits for its model
                    break
            at = time.perf_counter()
            await run.aclose()
            return time.perf_counter() - at

        return whole, asyncio.run(cancelled())


def seconds_budget(seconds: float) -> tuple[float, str]:
    """Returns the seconds of a run whose subagents would take longer than its budget."""

    async def endless(request: Any) -> str:
        await asyncio.sleep(10)
        return "Done."

    with ExitStack() as stack:
        worker = agent(stack, Scenario().turn(compute=endless), name="worker")
        tasks = [{"agent": "worker", "task": f"Task {n}"} for n in range(WIDE)]
        scenario = Scenario().turn(calls=[("delegate", {"tasks": tasks})]).answer("Enough.")
        boss = agent(stack, scenario, [delegate([worker])])
        boss.budget = Budget(seconds=seconds)
        began = time.perf_counter()
        result = boss.ask("Begin.")
        return time.perf_counter() - began, result.reason


def calls_budget(most: int) -> int:
    """Returns how many calls 16 subagents make that would make 64, under one budget."""
    made: list[int] = []

    def note(n: int) -> str:
        """Notes a number.

        Args:
            n: the number.
        """
        made.append(n)
        return "Noted."

    with ExitStack() as stack:
        noting = Scenario().turn(calls=[("note", {"n": n}) for n in range(4)]).answer("Done.")
        worker = agent(stack, noting, [note], name="worker")
        tasks = [{"agent": "worker", "task": f"Task {n}"} for n in range(WIDE)]
        scenario = Scenario().turn(calls=[("delegate", {"tasks": tasks})]).answer("Enough.")
        boss = agent(stack, scenario, [delegate([worker])])
        boss.budget = Budget(tool_calls=most)
        boss.ask("Begin.")
        return len(made)


def main() -> None:
    """Prints the figures."""
    print(f"{WIDE} subagents of {SECONDS} s side by side: {wide():.3f} s")
    whole, cancel = deep_cancel()
    print(f"three levels, the lowest takes {SECONDS} s: {whole:.3f} s")
    print(f"from a cancel to the end of all levels: {1000 * cancel:.0f} ms")
    took, reason = seconds_budget(1.0)
    print(f"a budget of 1 s over {WIDE} subagents of 10 s: ended after {took:.3f} s ({reason})")
    print(f"a budget of 10 calls over {WIDE} subagents with 4 each: {calls_budget(10)} made")


if __name__ == "__main__":
    main()
