"""A plan in one reply: a call may use the result of an earlier one, and starts when it is there."""

from __future__ import annotations

from qwenbelt import TraceWriter
from qwenbelt.agents import PlanAgent, endpoint


def price(item: str) -> dict[str, float]:
    """Tells the price of an item, as {"euros": number}.

    Args:
        item: what is sold.
    """
    return {"euros": {"bolt": 1.25, "nut": 0.5}.get(item, 9.0)}


def times(count: int, each: float) -> str:
    """Multiplies.

    Args:
        count: how many.
        each: the price of one.
    """
    return f"{count * each:.2f}"


if __name__ == "__main__":
    agent = PlanAgent([price, times], llm=endpoint(otherwise=__file__), approve="auto")
    with TraceWriter() as trace:
        question = [{"role": "user", "content": "What do 40 bolts and 40 nuts cost?"}]
        print(agent.run_nonstream(question, trace=trace)[-1]["content"])
    print(sum(line["event"] == "model_started" for line in trace.lines), "model calls")
