"""One client in one process, for `orchestration.py`: `python orchestration_client.py NAME URL`.

Reads jobs as JSON lines, `{"model": ..., "tool": "sync" | "async"}`, and writes what each took. The
clients are `bare` (the openai client alone; all calls of a reply side by side once it has ended),
`qwenbelt`, and `qwen-agent` (its own classes).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

os.environ.update(QWEN_AGENT_MAX_LLM_CALL_PER_RUN="1000", QWENBELT_MAX_MODEL_CALLS="1000")
logging.disable(logging.CRITICAL)

QUESTION = [{"role": "user", "content": "go"}]
NUMBER = {"type": "number"}
SCHEMA = {
    "type": "object",
    "properties": {"i": NUMBER, "d": NUMBER, "turn": NUMBER},
    "required": ["i", "d"],
}
starts: list[tuple[int, float]] = []
running, most = 0, 0


def begin(arguments: dict[str, Any]) -> float:
    global running, most
    running += 1
    most = max(most, running)
    starts.append((int(arguments["i"]), time.monotonic()))
    return float(arguments["d"])


def work_sync(arguments: dict[str, Any]) -> str:
    global running
    seconds = begin(arguments)
    if seconds:
        time.sleep(seconds)
    running -= 1
    return f"r{int(arguments['i'])}"


async def work_async(arguments: dict[str, Any]) -> str:
    global running
    seconds = begin(arguments)
    if seconds:
        await asyncio.sleep(seconds)
    running -= 1
    return f"r{int(arguments['i'])}"


def bare(url: str) -> Callable[[dict[str, Any]], None]:
    """Returns what runs a job with nothing but the openai client."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=url, api_key="x")
    loop, pool = asyncio.new_event_loop(), ThreadPoolExecutor(64)
    tools: Any = [{"type": "function", "function": {"name": "work", "parameters": SCHEMA}}]

    async def one(kind: str, text: str) -> str:
        arguments = json.loads(text)
        if kind == "async":
            return await work_async(arguments)
        return await loop.run_in_executor(pool, work_sync, arguments)

    async def run(job: dict[str, Any]) -> None:
        messages: list[Any] = [*QUESTION]
        while True:
            calls: dict[int, list[str]] = {}
            stream = await client.chat.completions.create(
                model=job["model"], messages=messages, tools=tools, stream=True
            )
            async for chunk in stream:
                for delta in chunk.choices[0].delta.tool_calls or ():
                    call = calls.setdefault(delta.index, ["", ""])
                    call[0] += delta.id or ""
                    call[1] += (delta.function and delta.function.arguments) or ""
            if not calls:
                return
            results = await asyncio.gather(*[one(job["tool"], text) for _, text in calls.values()])
            written = [
                {"id": id_, "type": "function", "function": {"name": "work", "arguments": text}}
                for id_, text in calls.values()
            ]
            messages.append({"role": "assistant", "content": None, "tool_calls": written})
            messages += [
                {"role": "tool", "tool_call_id": id_, "content": text}
                for (id_, _), text in zip(calls.values(), results, strict=True)
            ]

    return lambda job: loop.run_until_complete(run(job))


def qwenbelt(url: str) -> Callable[[dict[str, Any]], None]:
    """Returns what runs a job with our agent."""
    from qwenbelt.agents import FnCallAgent
    from qwenbelt.tools import Tool

    class Work(Tool):
        name, description, parameters, read_only = "work", "Works.", SCHEMA, True

        def call(self, params: Any, **kwargs: Any) -> str:
            return work_sync(params if isinstance(params, dict) else json.loads(params))

    class WorkAsync(Work):
        async def acall(self, arguments: Any, **kwargs: Any) -> str:
            return await work_async(arguments)

    tools, loop = {"sync": Work(), "async": WorkAsync()}, asyncio.new_event_loop()

    async def run(job: dict[str, Any]) -> None:
        llm = {"model": job["model"], "model_server": url, "api_key": "x"}
        agent = FnCallAgent([tools[job["tool"]]], llm=llm)
        async for _ in agent.stream(QUESTION):
            pass

    return lambda job: loop.run_until_complete(run(job))


def qwen_agent(url: str) -> Callable[[dict[str, Any]], None]:
    """Returns what runs a job with qwen-agent's agent, natively."""
    from qwen_agent.agents import FnCallAgent
    from qwen_agent.tools.base import BaseTool

    class Work(BaseTool):
        name, description, parameters = "work", "Works.", SCHEMA

        def call(self, params: Any, **kwargs: Any) -> str:
            return work_sync(json.loads(params))

    tool = Work()
    options = {"use_raw_api": True, "max_input_tokens": 10_000_000, "max_retries": 0}

    def run(job: dict[str, Any]) -> None:
        llm = {"model": job["model"], "model_type": "oai", "model_server": url, "api_key": "x"}
        agent = FnCallAgent(function_list=[tool], llm={**llm, "generate_cfg": options})
        for _ in agent.run(QUESTION):
            pass

    return run


def main() -> None:
    global most
    name, url = sys.argv[1:]
    makers = {"bare": bare, "qwenbelt": qwenbelt, "qwen-agent": qwen_agent}
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is not an answer
    run = makers[name](url)
    for line in sys.stdin:
        job = json.loads(line)
        starts.clear()
        most = 0
        wall, cpu = time.monotonic(), time.process_time()
        run(job)
        took = {"wall": time.monotonic() - wall, "cpu": time.process_time() - cpu}
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found = {**took, "starts": starts, "most": most, "peak_mib": memory}
        print(json.dumps(found), file=out, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
