"""Eight half-second calls of one reply take half a second; a plain function is a tool."""

from __future__ import annotations

import asyncio
import time

from qwenbelt.agents import FnCallAgent, endpoint
from qwenbelt.core import Done, ToolFinished


def weather(city: str) -> str:
    """Tells the weather of a city.

    Args:
        city: the city's name.
    """
    time.sleep(0.5)
    return f"sunny in {city}"


async def main() -> None:
    agent = FnCallAgent([weather], llm=endpoint(otherwise=__file__), approve="auto")
    question = {"role": "user", "content": "How is the weather in the eight largest cities?"}
    spans = []
    async for event in agent.stream([question]):
        if isinstance(event, ToolFinished):
            spans.append((event.started, event.finished))
        elif isinstance(event, Done):
            print(event.text)
    took = max(end for _, end in spans) - min(start for start, _ in spans)
    print(f"{len(spans)} calls in {took:.1f} s")


if __name__ == "__main__":
    asyncio.run(main())
