"""Limits before an endpoint, shared by all threads and event loops; prices as data."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from qwen_agent.llm import get_chat_model

from qwenbelt.agents import Budget, FnCallAgent
from qwenbelt.agents.models.deltas import Tokens
from qwenbelt.agents.models.dialects import DASHSCOPE_INTL_URL, DIALECTS
from qwenbelt.agents.models.prices import Price, price_of
from qwenbelt.agents.models.rate_limits import Gate, Rate, gate_for, rate_of
from qwenbelt.core.errors import ConfigError
from qwenbelt.core.events import Usage

ASK = [{"role": "user", "content": "hi"}]


class Crowd:
    """Requests that hold their place for a moment; keeps how many there were at once."""

    def __init__(self, gate: Gate) -> None:
        self.gate, self.now, self.most, self.order = gate, 0, 0, list[int]()
        self._lock = threading.Lock()

    async def request(self, number: int, size: int = 4, used: int = 1) -> None:
        async with self.gate.admitted(size) as turn:
            with self._lock:
                self.now += 1
                self.most = max(self.most, self.now)
                self.order.append(number)
            await asyncio.sleep(0.01)
            turn.count(Tokens(used, 0))
            with self._lock:
                self.now -= 1

    async def requests(self, count: int, **how: int) -> None:
        await asyncio.gather(*(self.request(number, **how) for number in range(count)))


def test_requests_at_once_over_all_threads() -> None:
    crowd = Crowd(Gate(Rate(in_flight=3)))
    threads = [
        threading.Thread(target=lambda: asyncio.run(crowd.requests(10)), daemon=True)
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(crowd.order) == 40
    assert crowd.most == 3


def test_first_come_first_served() -> None:
    crowd = Crowd(Gate(Rate(in_flight=1)))
    asyncio.run(crowd.requests(8))
    assert crowd.order == list(range(8))


def test_without_limits_nobody_waits() -> None:
    crowd = Crowd(Gate(Rate()))
    asyncio.run(crowd.requests(30))
    assert crowd.most == 30


def test_tokens_of_a_window() -> None:
    crowd = Crowd(Gate(Rate(tokens_per_minute=100), window=0.5))
    started = time.monotonic()
    asyncio.run(crowd.requests(5, size=160, used=40))
    seconds = time.monotonic() - started
    assert seconds > 0.9, "two of 40 tokens fit into each window"


def test_what_was_really_used_counts() -> None:
    crowd = Crowd(Gate(Rate(tokens_per_minute=100)))

    async def one_after_another() -> None:
        for number in range(20):
            await asyncio.wait_for(crowd.request(number, size=160, used=3), 10)

    asyncio.run(one_after_another())
    assert len(crowd.order) == 20


def test_a_request_above_the_limit_goes_alone() -> None:
    crowd = Crowd(Gate(Rate(tokens_per_minute=10), window=0.2))
    asyncio.run(asyncio.wait_for(crowd.requests(2, size=4000, used=1000), 60))
    assert crowd.most == 1


def test_whoever_gives_up_lets_the_next_in() -> None:
    async def main() -> None:
        crowd = Crowd(Gate(Rate(in_flight=1)))
        async with crowd.gate.admitted(4):
            leaving = asyncio.create_task(crowd.request(0))
            staying = asyncio.create_task(crowd.request(1))
            await asyncio.sleep(0.05)
            leaving.cancel()
        await asyncio.wait_for(staying, 10)
        assert crowd.order == [1]

    asyncio.run(main())


def test_all_models_of_an_endpoint_share_one_gate(wire: Any) -> None:
    """Through the chat model: three agents in threads, one request at a time."""
    at_once: list[int] = []
    inside = threading.Semaphore(0)

    def answer(body: Any) -> tuple[int, Any]:
        inside.release()
        at_once.append(gate_for(wire.url, Rate())._running)
        choice = {"index": 0, "message": {"role": "assistant", "content": "ok"}}
        return 200, {"choices": [{**choice, "finish_reason": "stop"}]}

    wire.answers(answer)
    llms = [{**wire.llm(), "rate": {"in_flight": 1}, "model": name} for name in "abc"]
    threads = [
        threading.Thread(target=lambda llm=llm: get_chat_model(llm).chat(ASK, stream=False))
        for llm in llms
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert at_once == [1, 1, 1]


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    return tmp_path / "qwenbelt.toml"


def test_limits_from_the_settings_file(settings_file: Path) -> None:
    settings_file.write_text(
        '[rates.dashscope]\nin_flight = 8\n[rates."http://gpu:8000/v1"]\ntokens_per_minute = 9\n'
    )
    dashscope, vllm = DIALECTS["dashscope"], DIALECTS["vllm"]
    assert rate_of({}, dashscope, "https://x") == Rate(in_flight=8)
    assert rate_of({}, vllm, "http://gpu:8000/v1") == Rate(tokens_per_minute=9)
    assert rate_of({}, vllm, "http://other/v1") == Rate()
    assert rate_of({"rate": {"in_flight": 2}}, dashscope, "https://x") == Rate(in_flight=2)
    for wrong in ({"in_flight": 0}, {"in_flight": True}, {"per_day": 5}, {"in_flight": "8"}):
        with pytest.raises(ConfigError, match="rate"):
            Rate.of(wrong)


@pytest.mark.parametrize("text", ["rates = 5", "[rates]\nin_flight = 5", "prices = 1",
                                  '[prices]\nm = "dear"', "[prices]\nm = [1]"])  # fmt: skip
def test_tables_that_are_not_understood(settings_file: Path, text: str) -> None:
    settings_file.write_text(text)
    with pytest.raises(ConfigError, match="must hold"):
        rate_of({}, DIALECTS["openai"], "")


def test_prices_are_data_and_peoples_own_come_first(settings_file: Path) -> None:
    china, abroad = DIALECTS["dashscope"].url, DASHSCOPE_INTL_URL
    price = price_of(china, "qwen-plus")
    assert price is not None
    assert (price.currency, price.of(Tokens(1_000_000, 0))) == ("CNY", price.input)
    assert getattr(price_of(abroad, "qwen-plus"), "currency", "") == "USD"
    assert price_of(china, "qwen-plus-of-tomorrow") is None
    assert price_of("http://127.0.0.1:8000/v1", "qwen-plus") is None
    settings_file.write_text('[prices]\n"qwen-plus" = [3, 4.5]\n')
    assert price_of(china, "qwen-plus") == Price(3.0, 4.5)


def test_a_run_counts_by_the_settings_prices(wire: Any, settings_file: Path) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100}
    choice = {"index": 0, "message": {"role": "assistant", "content": "ok"}}
    wire.says({"choices": [{**choice, "finish_reason": "stop"}], "usage": usage})
    with pytest.raises(ConfigError, match=r"\[prices\]"):
        FnCallAgent([], llm=wire.llm(), budget=Budget(money=1.0)).stream(ASK)
    settings_file.write_text("[prices]\nm = [2.0, 10.0]\n")

    async def run() -> list[Any]:
        agent = FnCallAgent([], llm=wire.llm(), budget=Budget(money=1.0))
        return [event async for event in agent.stream(ASK)]

    (used,) = [event for event in asyncio.run(run()) if isinstance(event, Usage)]
    assert used.cost == pytest.approx(0.003)
