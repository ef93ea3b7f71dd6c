"""A run is stopped in the middle of a call; the conversation goes on from there."""

from __future__ import annotations

import asyncio
import time

from qwenbelt.agents import FnCallAgent, endpoint
from qwenbelt.core import Done, ToolStarted
from qwenbelt.tools import Tool


class Dig(Tool):
    name, description, read_only = "dig", "Digs for an hour.", True
    parameters = {"type": "object", "properties": {}}  # noqa: RUF012

    async def acall(self, arguments: object, **kwargs: object) -> str:
        await asyncio.sleep(3600)
        return "found"


async def main() -> None:
    agent = FnCallAgent([Dig()], llm=endpoint(otherwise=__file__))
    messages = [{"role": "user", "content": "Dig."}]
    run = agent.stream(messages)
    began = time.monotonic()
    async for event in run:
        if isinstance(event, ToolStarted):
            run.cancel()
        elif isinstance(event, Done):
            messages += event.messages
    print(f"stopped: {time.monotonic() - began < 60}; {messages[-1]['content']}")
    messages.append({"role": "user", "content": "Never mind."})
    async for event in agent.stream(messages):
        if isinstance(event, Done):
            print(event.text)


if __name__ == "__main__":
    asyncio.run(main())
