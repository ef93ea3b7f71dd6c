"""Hooks: one refuses a payment that is too large, another keeps the questions to the topic."""

from __future__ import annotations

from typing import Any

from qwenbelt import FnCallAgent, Hook, Refuse, TopicGuard, endpoint


def pay(to: str, euros: float) -> str:
    """Pays an amount.

    Args:
        to: who gets it.
        euros: how much.
    """
    print(f"paying {euros} euros to {to}")
    return "paid"


class SmallSums(Hook):
    def before_tool(self, call: Any) -> Any:
        if call.name == "pay" and call.arguments["euros"] > 100:
            return Refuse("More than 100 euros need a signature.")
        return None  # the call goes on as it is


def about_bills(question: str) -> bool:
    return "bill" in question.lower()


if __name__ == "__main__":
    topic = TopicGuard(about_bills, "I only deal with bills.")
    agent = FnCallAgent([pay], llm=endpoint(otherwise=__file__), hooks=[topic, SmallSums()])
    for question in ("Pay the bills of the baker (20) and the smith (900).", "Tell me a joke."):
        result = agent.ask(question)
        print(f"{result.reason}: {result.text}")
