"""One cell of code instead of twenty replies: requests, tokens, time at the limit, cost of a call.

    python benchmarks/code_mode.py [--repeat 3]

The scripted model writes at 50 tokens a second. Asked for the cheapest of 20 pages, each of which
takes half a second and holds 4000 characters, it reads them by calls, by a cell, and by a cell
whose calls may not begin before it is complete.

- tokens: of all requests and replies, at four characters a token.
- T/L: T runs from the first byte of the reply that holds the cell to the next request; L is its
  limit: the end of that reply, or the latest "arguments known + duration" of its calls (with calls
  that may not begin early: the reply's end + duration).
- nested: processor time of this process for each of 500 calls of one cell.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from typing import Any

from qwenbelt import Budget, FnCallAgent, FunctionTool, Limits
from qwenbelt.core.events import Event, ToolFinished, ToolStarted
from qwenbelt.testing import Scenario, ScriptedServer

PAGES, SECONDS, PACE = 20, 0.5, 50
PAGE = "Lorem ipsum dolor sit amet. " * 150
QUESTION = [{"role": "user", "content": f"Which of pages 1 to {PAGES} is the cheapest?"}]
READ = f"pages = await asyncio.gather(*(tools.read_page(n=i) for i in range(1, {PAGES + 1})))\n"
REST = """by_price = sorted(pages, key=lambda page: page["price"])
best = by_price[0]
for page in by_price[:3]:
    print(page["page"], page["price"])
if best["price"] > 100:
    print("All of them cost more than a hundred.")
print("The cheapest is page", best["page"])
"""


async def read_page(n: int) -> dict[str, Any]:
    """Reads a page of the shop: its text and price."""
    await asyncio.sleep(SECONDS)
    return {"page": n, "price": (n * 37) % 101 + 5, "text": PAGE}


async def plus(a: int) -> int:
    """Adds one."""
    return a + 1


class Played:
    """One run: its events, and what the endpoint saw."""

    def __init__(self, scenario: Scenario, tools: list[Any], **options: Any) -> None:
        self.cpu: list[float] = []
        with ScriptedServer(scenario) as server:
            limits = Limits(in_flight=2 * PAGES, nested_calls=1000)
            agent = FnCallAgent(tools, llm=server.llm, limits=limits, **options)
            self.events = asyncio.run(self._events(agent))
            self.requests = list(server.requests)

    async def _events(self, agent: FnCallAgent) -> list[Event]:
        out = []
        async for event in agent.stream(QUESTION):
            if isinstance(event, (ToolStarted, ToolFinished)) and not event.parent:
                self.cpu.append(time.process_time())
            out.append(event)
        return out

    @property
    def tokens(self) -> float:
        """Tokens of all requests and replies."""
        bodies = [json.dumps(r.request.body) + json.dumps(r.reply) for r in self.requests]
        return sum(map(len, bodies)) / 4

    def ratio(self, *, early: bool) -> float:
        """Returns T/L of the reply that holds the cell."""
        first, following = self.requests[-2:]
        begun = first.first_byte
        length = len(json.dumps(READ + REST)) / 4 / PACE
        known = len(json.dumps(READ)) / 4 / PACE if early else length
        limit = max(first.finished - begun, known + SECONDS)
        return float((following.received - begun) / limit)


def by_code(*, early: bool) -> Played:
    turn = {"timing": {"tokens_per_second": PACE}, "wire": {"chunk": 4}}
    warm = ("code_interpreter", {"code": "1"})  # the session is there, as in any later turn
    scenario = Scenario().turn(calls=[warm])
    scenario.turn(calls=[("code_interpreter", {"code": READ + REST})], **turn).answer("Page 11.")
    return Played(scenario, [FunctionTool(read_page, read_only=early)], code_mode=True)


def by_calls() -> Played:
    scenario = Scenario()
    for n in range(1, PAGES + 1):
        scenario.turn(calls=[("read_page", {"n": n})])
    budget = Budget(model_calls=100)
    return Played(scenario.answer("Page 11."), [read_page], budget=budget)


def cell_cpu(calls: int) -> float:
    """Returns the processor seconds between the beginning and the end of such a cell."""
    code = f"r = await asyncio.gather(*(tools.plus(a=i) for i in range({calls})))\nprint(len(r))"
    scenario = Scenario().turn(calls=[("code_interpreter", {"code": "1"})])
    scenario.turn(calls=[("code_interpreter", {"code": code})]).answer("x")
    marks = Played(scenario, [plus], code_mode=True).cpu
    return marks[3] - marks[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    calls, cell = by_calls(), by_code(early=False)
    share = cell.tokens / calls.tokens
    print("| | requests | tokens |\n|---|---|---|")
    print(f"| {PAGES} calls | {len(calls.requests)} | {calls.tokens:.0f} |")
    print(f"| one cell | {len(cell.requests) - 1} | {cell.tokens:.0f} ({share:.1%}) |\n")
    for early in (False, True):
        ratios, seconds = [], []
        for _ in range(repeat):
            played = by_code(early=early)
            ratios.append(played.ratio(early=early))
            first, following = played.requests[-2:]
            seconds.append(following.received - first.first_byte)
        told = "begin while it is written" if early else "begin when it is complete"
        print(f"calls {told}: T {statistics.median(seconds):.2f} s, T/L", end=" ")
        print(f"{statistics.median(ratios):.3f} (least {min(ratios):.3f})")
    costs = []
    for _ in range(repeat):
        one, many = (cell_cpu(n) for n in (1, 501))
        costs.append((many - one) / 500 * 1000)
    print(f"nested call: {statistics.median(costs):.3f} ms CPU (least {min(costs):.3f})")


if __name__ == "__main__":
    main()
