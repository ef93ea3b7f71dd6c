"""What a streamed piece of a reply costs as the reply grows: ours beside stock qwen-agent.

    python benchmarks/streaming_cost.py

Prints microseconds of CPU a piece, the scripted server's included, at 200 and at 2500 pieces of 400
characters, the least of three runs, and their ratio: near 1 is linear. (Fault 7 of the table of
upstream faults; a test of it would depend on how busy the machine is.)
"""

from __future__ import annotations

import time
from typing import Any

from qwen_agent.agents import FnCallAgent as StockFnCallAgent

from qwenbelt import FnCallAgent
from qwenbelt.testing import Scenario, ScriptedServer


def cost(kind: Any, model_type: str, pieces: int) -> float:
    scenario = Scenario("long?", wire={"chunk": 400}).answer("x" * 400 * pieces)
    with ScriptedServer(scenario) as server:
        agent = kind(function_list=[], llm={**server.llm, "model_type": model_type})
        begin = time.process_time()
        for _ in agent.run([{"role": "user", "content": "long?"}]):
            pass
        return (time.process_time() - begin) / pieces * 1e6


def main() -> None:
    for name, kind, model_type in (
        ("qwenbelt", FnCallAgent, "qwenbelt"),
        ("qwen-agent", StockFnCallAgent, "oai"),
    ):
        short, long = (
            min(cost(kind, model_type, pieces) for _ in range(3)) for pieces in (200, 2500)
        )
        print(f"{name}: {short:.0f} -> {long:.0f} us a piece, ratio {long / short:.2f}")


if __name__ == "__main__":
    main()
