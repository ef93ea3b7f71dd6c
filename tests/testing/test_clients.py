"""Other people's clients against the scripted endpoint: each plays the same scenario."""

import json
import subprocess
import sys
from pathlib import Path

import openai
import pytest
from qwen_agent.agents import FnCallAgent as StockFnCallAgent

from qwenbelt.testing import Scenario, ScriptedServer, Trajectory, called, delivered, record

OPENAI_AGENTS = """
import asyncio, sys
from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(True)

@function_tool
def adder(a: int, b: int) -> str:
    "Adds."
    return f"{a} + {b} = {a + b}"

async def main():
    client = AsyncOpenAI(base_url=sys.argv[1], api_key="none")
    model = OpenAIChatCompletionsModel(model="scripted", openai_client=client)
    agent = Agent(name="sums", model=model, tools=[adder])
    result = Runner.run_streamed(agent, "sums?")
    async for _ in result.stream_events():
        pass
    print(result.final_output)

asyncio.run(main())
"""
PYDANTIC_AI = """
import sys
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url=sys.argv[1], api_key="none")
agent = Agent(OpenAIChatModel("scripted", provider=provider))

@agent.tool_plain
def adder(a: int, b: int) -> str:
    "Adds."
    return f"{a} + {b} = {a + b}"

print(agent.run_sync("sums?").output)
"""


def sums() -> Scenario:
    pair = [("adder", {"a": 1, "b": 2}), ("adder", {"a": 3, "b": 4})]
    scenario = Scenario("sums?").turn(calls=pair, text="Both.", think="Easy.")
    brought = {"adder": ["1 + 2 = 3", "3 + 4 = 7"]}
    return scenario.answer("${adder#1}; ${adder}", expect={"results": brought})


SAID = "1 + 2 = 3; 3 + 4 = 7"


def test_stock_qwen_agent_in_its_text_form() -> None:
    with ScriptedServer(sums()) as server:
        llm = {**server.llm, "model_type": "oai"}
        run = record(StockFnCallAgent(["adder"], llm=llm), "sums?", server=server)
    server.assert_complete()
    run.check(called("adder", times=2), delivered())
    assert run.answer == SAID


@pytest.mark.parametrize("stream", [True, False])
def test_the_bare_openai_client(stream: bool) -> None:
    parameters = {"type": "object", "properties": {"a": {"type": "number"}}}
    offered = [{"type": "function", "function": {"name": "adder", "parameters": parameters}}]
    messages: list[dict[str, object]] = [{"role": "user", "content": "sums?"}]
    with ScriptedServer(sums()) as server, openai.OpenAI(
        base_url=server.url, api_key="none", max_retries=0
    ) as client:  # fmt: skip
        for _ in range(2):
            made = client.chat.completions
            if stream:
                with made.stream(model="scripted", messages=messages, tools=offered) as events:
                    message = events.get_final_completion().choices[0].message
            else:
                reply = made.create(model="scripted", messages=messages, tools=offered)
                message = reply.choices[0].message
            calls = message.tool_calls or []
            kept = {"id", "type", "function"}
            sent = [c.model_dump(include=dict.fromkeys(kept, True)) for c in calls]
            for entry in sent:
                entry["function"] = {k: entry["function"][k] for k in ("name", "arguments")}
            messages.append(
                {"role": "assistant", "content": message.content, "tool_calls": sent or None}
            )
            for call in calls:
                a, b = json.loads(call.function.arguments).values()
                text = f"{a} + {b} = {a + b}"
                messages.append({"role": "tool", "tool_call_id": call.id, "content": text})
        assert message.content == SAID
    server.assert_complete()
    assert Trajectory.from_server(server).answer == SAID


@pytest.mark.parametrize(
    ("package", "code"),
    [("openai-agents", OPENAI_AGENTS), ("pydantic-ai-slim", PYDANTIC_AI)],
    ids=["openai-agents, streaming", "pydantic-ai"],
)
def test_other_agents(package: str, code: str, tmp_path: Path) -> None:
    if not _installed(package):
        pytest.skip(f"{package} is not installed")
    with ScriptedServer(sums()) as server:
        # a process of its own: one package is called `agents`, as is a folder of this repository,
        # and the other leaves its connections open
        done = subprocess.run(
            [sys.executable, "-c", code, server.url],
            capture_output=True, text=True, cwd=tmp_path,
        )  # fmt: skip
    assert done.stdout.strip() == SAID, done.stderr
    server.assert_complete()


def _installed(name: str) -> bool:
    from importlib import metadata

    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
