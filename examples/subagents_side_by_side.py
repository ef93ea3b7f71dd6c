"""Two agents work at the same time, each in a context of its own; a third sums up."""

from __future__ import annotations

from qwenbelt import FnCallAgent, delegate, endpoint


def price(item: str) -> str:
    """Tells the price of an item in euros.

    Args:
        item: what is sold.
    """
    return {"bolt": "1.25", "nut": "0.50"}.get(item, "unknown")


def stock(item: str) -> str:
    """Tells how many of an item are in stock.

    Args:
        item: what is sold.
    """
    return {"bolt": "400", "nut": "90"}.get(item, "0")


if __name__ == "__main__":
    llm = endpoint(otherwise=__file__)
    buyer = FnCallAgent([price], llm=llm, name="buyer", description="Knows the prices.")
    keeper = FnCallAgent([stock], llm=llm, name="keeper", description="Knows the stock.")
    lead = FnCallAgent([delegate([buyer, keeper])], llm=llm)
    result = lead.ask("What does a bolt cost, and how many are there?")
    print(result.text)
    inner = [event.name for event in result.trace if event.kind == "tool_finished" and event.parent]
    print(f"calls of the two: {', '.join(sorted(inner))}; {result.usage.requests} requests")
