"""What the tests of the loop and the scheduler share: servers, tools, a loop with its own clock."""

from __future__ import annotations

import asyncio
import selectors
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import pytest

from qwenbelt.agents import FnCallAgent
from qwenbelt.agents.models.deltas import ToolCall
from qwenbelt.agents.runtime.resource_queue import Limits
from qwenbelt.agents.runtime.scheduler import Scheduler, SchedulerContext
from qwenbelt.core.events import Event
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools.base import Tool, ToolContext


class VirtualSelector(selectors.BaseSelector):
    """Skips waiting: the clock of the loop jumps to the next timer."""

    def __init__(self) -> None:
        self._inner = selectors.DefaultSelector()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        found = self._inner.select(0)
        if not found:
            if timeout is None:
                raise RuntimeError("everything waits and nothing is coming: a deadlock")
            self.now += max(0.0, timeout)
        return found

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def get_map(self) -> Any:
        return self._inner.get_map()

    def close(self) -> None:
        self._inner.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in which time passes only when everything waits."""

    def __init__(self) -> None:
        self._virtual = VirtualSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


@pytest.fixture(scope="session")
def in_virtual_time() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Runs a coroutine in simulated time."""
    loop = VirtualLoop()
    yield loop.run_until_complete
    loop.close()


class Recorder(Tool):
    """A tool that sleeps and notes when it ran, by the loop's clock.

    Arguments: `d` seconds, `r` and `w` lists of resources, `fail` a text to raise, `say` a result.
    """

    name = "work"
    description = "Works."
    parameters: Any = {  # noqa: RUF012  as qwen-agent's class declares it
        "type": "object",
        "properties": {
            "i": {"type": "integer"},
            "d": {"type": "number"},
            "r": {"type": "array", "items": {"type": "string"}},
            "w": {"type": "array", "items": {"type": "string"}},
            "fail": {"type": "string"},
            "say": {"type": "string"},
        },
    }

    def __init__(self, name: str = "work", **flags: Any) -> None:
        self.name = name
        super().__init__()
        self.timeout = None
        for flag, value in flags.items():
            setattr(self, flag, value)
        self.ran: dict[int, tuple[float, float]] = {}
        self.count = 0
        self.running = 0
        self.most = 0

    def resources(self, arguments: Any) -> tuple[set[str], set[str]]:
        return set(arguments.get("r", ())), set(arguments.get("w", ()))

    async def acall(self, arguments: Any, **kwargs: Any) -> Any:
        loop = asyncio.get_running_loop()
        start = loop.time()
        self.count += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(arguments.get("d", 0))
        finally:
            self.running -= 1
            self.ran[arguments.get("i", self.count)] = (start, loop.time())
        if "fail" in arguments:
            raise ValueError(arguments["fail"])
        return arguments.get("say", f"r{arguments.get('i', '')}")


class SyncRecorder(Recorder):
    """The same in a thread, in real time; not to be had in simulated time."""

    @property
    def is_async(self) -> bool:
        return False

    def call(self, params: Any, **kwargs: Any) -> Any:
        params = self.parse(params)
        start = time.monotonic()
        self.count += 1
        time.sleep(params.get("d", 0))
        self.ran[params.get("i", self.count)] = (start, time.monotonic())
        if "fail" in params:
            raise ValueError(params["fail"])
        return params.get("say", f"r{params.get('i', '')}")


@pytest.fixture
def recorder() -> type[Recorder]:
    return Recorder


@pytest.fixture
def sync_recorder() -> type[SyncRecorder]:
    return SyncRecorder


class Bench:
    """A scheduler on its own, with everything that it told."""

    def __init__(self, tools: Sequence[Any], **around: Any) -> None:
        self.events: list[Event] = []
        self.artifacts: dict[str, str] = {}
        self.answers: dict[str, asyncio.Future[bool]] = {}
        self._count = 0
        settings: dict[str, Any] = {
            "limits": Limits(in_flight=64),
            "policy": "auto",
            "language": "en",
            "allowed": 1000,
            "beyond": "too many",
            "context": lambda call: ToolContext(call_id=call.id),
            "keywords": lambda tool, context: {"context": context} if is_ours(tool) else {},
            **around,
        }
        self.scheduler = Scheduler(
            SchedulerContext(
                tools={tool.name: tool for tool in tools},
                emit=self.events.append,
                asked=self._asked,
                keep_artifact=self._keep,
                **settings,
            )
        )

    def _asked(self, call_id: str) -> asyncio.Future[bool]:
        self.answers[call_id] = asyncio.get_running_loop().create_future()
        return self.answers[call_id]

    def _keep(self, tool: str, text: str) -> str:
        self.artifacts[f"{tool}-1.txt"] = text
        return f"{tool}-1.txt"

    def call(self, name: str, arguments: str = "{}") -> str:
        """Seals a call; returns its id."""
        call = ToolCall(self._count, f"c{self._count}", name, arguments, complete=True)
        self._count += 1
        self.scheduler.seal(call)
        return call.id

    async def results(self) -> list[Any]:
        """Ends the reply and returns the outcomes in call order."""
        self.scheduler.release()
        return list((await self.scheduler.results()).values())

    def kinds(self, kind: type[Any]) -> list[Any]:
        """Returns the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]


def is_ours(tool: Any) -> bool:
    return isinstance(tool, Tool)


@pytest.fixture
def bench() -> type[Bench]:
    return Bench


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedServer]]:
    """Starts scripted endpoints; they end with the test, and must have been played as written."""
    servers: list[tuple[ScriptedServer, bool]] = []

    def start(scenario: Scenario, *, complete: bool = True, **options: Any) -> ScriptedServer:
        server = ScriptedServer(scenario, **options).start()
        servers.append((server, complete))
        return server

    yield start
    for server, _ in servers:
        server.stop()
    for server, complete in servers:
        if complete:
            server.assert_complete()


@pytest.fixture
def agent_of(serve: Callable[..., ScriptedServer]) -> Callable[..., FnCallAgent]:
    """Makes an agent that talks to a scenario."""

    def make(
        scenario: Scenario,
        tools: Sequence[Any] = (),
        *,
        kind: type[FnCallAgent] = FnCallAgent,
        complete: bool = True,
        plays: int | None = 1,
        strict: bool = True,
        cfg: dict[str, Any] | None = None,
        **options: Any,
    ) -> FnCallAgent:
        server = serve(scenario, complete=complete, plays=plays, strict=strict)
        defaults = {"max_retries": 0, "request_timeout": 20}
        llm = {**server.llm, "generate_cfg": {**defaults, **(cfg or {})}}
        made = kind(function_list=list(tools), llm=llm, **options)
        made.server = server  # type: ignore[attr-defined]
        return made

    return make


@pytest.fixture
def events_of() -> Callable[..., list[Event]]:
    """Runs an agent on a question, and returns all events."""

    def run(
        agent: FnCallAgent,
        question: str = "go",
        on_event: Callable[[Any, Event], None] | None = None,
    ) -> list[Event]:
        async def main() -> list[Event]:
            found: list[Event] = []
            stream = agent.stream([{"role": "user", "content": question}])
            async for event in stream:
                found.append(event)
                if on_event is not None:
                    on_event(stream, event)
            return found

        return asyncio.run(main())

    return run


@pytest.fixture(autouse=True)
def _no_thread_errors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An error that ends a thread is a failure of the test."""
    raised: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    yield
    assert not raised
