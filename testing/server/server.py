"""The scripted endpoint: an OpenAI-compatible HTTP server that plays a scenario.

    with ScriptedServer(scenario) as server:
        client = openai.OpenAI(base_url=server.url, api_key="none")
        ...
    server.assert_complete()

It works in its own thread (`with`) or in a running event loop (`async with`).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from qwenbelt.core.errors import InputError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.processes.per_process import per_process
from qwenbelt.testing.errors import ScenarioFailed
from qwenbelt.testing.scenarios.expectations import unmet_expectations
from qwenbelt.testing.scenarios.request import ChatRequest
from qwenbelt.testing.scenarios.result_slots import with_results_inserted
from qwenbelt.testing.scenarios.scenario import Scenario, Turn, overlaid_values, turn_of
from qwenbelt.testing.scenarios.yaml_file import as_scenario
from qwenbelt.testing.server.billing import BillKind, CacheBill
from qwenbelt.testing.server.http import ClientConnection, HttpRequest, HttpServer
from qwenbelt.testing.server.reply_sender import Exchange, Sender, error_body, send_failure
from qwenbelt.testing.server.reply_writer import (
    compose_reply,
    damaged_reply,
    message_of,
    wire_settings,
)
from qwenbelt.testing.server.responses_api import (
    KeptResponses,
    ResponseSender,
    as_chat,
    faults_of,
)
from qwenbelt.testing.server.turn_matching import Placed, Stage, Surprise
from qwenbelt.testing.server.validation import faults_in

if TYPE_CHECKING:
    from typing_extensions import Self


class ScriptedServer:
    """Plays a scenario to any OpenAI client.

    Args:
        scenario: a `Scenario`, a path, or YAML text.
        plays: how often each conversation may be played; None for any number.
        strict: refuse requests that a strict server would refuse.
        bill: count what a prefix cache would have held of each request: "dashscope", "implicit",
            "vllm" or "none" (see `billing`); the token counts say so, and `Exchange.billed`.
        host: the address to listen on; the loopback interface unless given.
        port: the port; 0 takes a free one.

    Attributes:
        requests: one `Exchange` for each request for a reply, in order.

    Raises:
        InputError: the scenario cannot be read.
    """

    def __init__(
        self,
        scenario: Scenario | str | Path,
        *,
        plays: int | None = 1,
        strict: bool = True,
        bill: BillKind | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.scenario = as_scenario(scenario)
        self.strict = strict
        self.requests: list[Exchange] = []
        self._stage = Stage(self.scenario, plays)
        self._http = HttpServer(self._handle, host=host, port=port)
        self._lock = threading.Lock()
        self._kept = KeptResponses()
        self.bill = CacheBill(bill) if bill is not None else None
        self._many = len(self.scenario.conversations) > 1

    @property
    def url(self) -> str:
        """The base URL for clients: `http://127.0.0.1:PORT/v1`."""
        return f"http://{self._http.host}:{self._http.port}/v1"

    @property
    def llm(self) -> dict[str, Any]:
        """An llm dict for qwen-agent's agents and ours."""
        key = self.scenario.api_key or "EMPTY"
        return {"model": self.scenario.model, "model_server": self.url, "api_key": key}

    def start(self) -> Self:
        """Serves from its own thread until `stop`."""
        self._http.start()
        return self

    def stop(self) -> None:
        """Stops serving; safe to call twice."""
        self._http.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await self._http.start_here()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.stop_here()

    @property
    def problems(self) -> list[str]:
        """Why requests were refused, in order."""
        return [exchange.problem for exchange in self.requests if exchange.problem]

    def assert_complete(self) -> None:
        """Checks that no request was refused and that every turn was played.

        Raises:
            ScenarioFailed: one line for each problem, with the turn's name.
        """
        lines = self.problems + self._stage.unfinished()
        if lines:
            title = self.scenario.name or "the scenario"
            raise ScenarioFailed("\n".join([f"{title} was not played as written:", *lines]))

    # -- HTTP --------------------------------------------------------------------------------

    async def _handle(self, http: HttpRequest, connection: ClientConnection) -> None:
        received = time.monotonic()
        path = http.path.partition("?")[0].rstrip("/")
        if not self._admitted(http):
            message = "Incorrect API key provided."
            connection.send_json(401, error_body(401, message, code="invalid_api_key"))
        elif http.method == "POST" and path.endswith("/chat/completions"):
            await self._chat(http, connection, received, Sender)
        elif http.method == "POST" and path.endswith("/responses"):
            await self._chat(http, connection, received, ResponseSender)
        elif http.method == "GET" and path.endswith("/models"):
            entry = {"id": self.scenario.model, "object": "model", "owned_by": "qwenbelt"}
            connection.send_json(200, {"object": "list", "data": [{**entry, "created": 0}]})
        elif http.method == "GET" and path in ("", "/health", "/v1"):
            connection.send_json(200, {"status": "ok", "scenario": self.scenario.name})
        else:
            message = f"Unknown request URL: {http.method} {http.path}."
            connection.send_json(404, error_body(404, message, code="unknown_url"))

    def _admitted(self, http: HttpRequest) -> bool:
        key = self.scenario.api_key
        return key is None or http.headers.get("authorization") == f"Bearer {key}"

    async def _chat(
        self,
        http: HttpRequest,
        connection: ClientConnection,
        received: float,
        sender: type[Sender],
    ) -> None:
        request = ChatRequest({}, http.headers, len(self.requests) + 1)
        exchange = Exchange(request, received=received, connection=connection.number)
        self.requests.append(exchange)
        try:
            request.body = _request_body(http.body)
            if sender is ResponseSender:
                exchange.sent = request.body
                request.body = self._chat_form(request.body)
            placed = self._placed(request, exchange)
        except Surprise as error:
            self._refuse(exchange, connection, str(error))
            return
        try:
            turn = await self._turn(placed, request)
            await self._answer(placed, turn, exchange, sender, connection)
        except Surprise as error:
            self._stage.release(placed)
            self._refuse(exchange, connection, str(error))
        finally:
            self._stage.ended(placed)

    def _chat_form(self, body: dict[str, Any]) -> dict[str, Any]:
        wrong = faults_of(body) if self.strict else []
        before = self._kept.before(body)
        if before is None:
            wrong.append(f"previous response {body['previous_response_id']!r} not found")
        if wrong:
            raise Surprise("; ".join(wrong[:6]))
        return as_chat(body, before or ())

    def _placed(self, request: ChatRequest, exchange: Exchange) -> Placed:
        wrong = faults_in(request.body) if self.strict else []
        placed = self._stage.place(request, check=self.strict and not wrong)
        exchange.turn = placed.title
        exchange.conversation = placed.play.conversation.name
        exchange.play, exchange.attempt = placed.play.number, placed.attempt
        wrong = wrong or unmet_expectations(placed.turn.expect, request)
        if wrong:
            self._stage.release(placed)
            more = f"; and {len(wrong) - 6} more" if len(wrong) > 6 else ""
            raise Surprise(f"{placed.title}: {'; '.join(wrong[:6])}{more}")
        return placed

    async def _turn(self, placed: Placed, request: ChatRequest) -> Turn:
        turn = placed.turn
        try:
            if turn.compute is not None:
                value = turn.compute(request)
                if asyncio.iscoroutine(value):
                    value = await value
                turn = turn_of(value, turn)
            return with_results_inserted(turn, request)
        except InputError as error:
            raise Surprise(f"{placed.title}: {error.message}") from None
        except Exception as error:  # a user's function may raise anything; the test must see it
            raise Surprise(f"{placed.title}: its function raised {error!r}") from error

    def _ids(self, placed: Placed, turn: Turn) -> tuple[str, ...]:
        prefix = "call"
        if self._many:
            prefix += f"_c{self.scenario.conversations.index(placed.play.conversation) + 1}"
        if placed.play.number > 1:
            prefix += f"_p{placed.play.number}"
        return tuple(f"{prefix}_t{placed.index + 1}_{i + 1}" for i in range(len(turn.calls)))

    def _refuse(self, exchange: Exchange, connection: ClientConnection, problem: str) -> None:
        exchange.status, exchange.problem = 400, problem
        exchange.finished = time.monotonic()
        connection.send_json(400, error_body(400, problem, code="scenario"))

    # -- replies -----------------------------------------------------------------------------

    async def _answer(
        self,
        placed: Placed,
        turn: Turn,
        exchange: Exchange,
        kind: type[Sender],
        connection: ClientConnection,
    ) -> None:
        fault, request = placed.fault, exchange.request
        if fault.hang or fault.reset or fault.status:
            await send_failure(fault, exchange, connection)
            return
        ids = self._ids(placed, turn)
        wire = wire_settings(self.scenario.wire, turn.wire)
        try:
            reply = damaged_reply(compose_reply(turn, request, wire, ids), fault)
        except InputError as error:
            raise Surprise(f"{placed.title}: {error.message}") from None
        exchange.status = 200
        exchange.reply, exchange.ids = message_of(reply, fault), ids
        exchange.calls = () if fault.empty else turn.calls
        if self.bill is not None:
            exchange.billed = self.bill.of(request.body, turn.usage.get("input"))
        sender = kind(exchange, connection, reply, turn, fault)
        if isinstance(sender, ResponseSender) and exchange.reply is not None:
            self._kept.keep(sender.response_id(), [*request.messages, exchange.reply])
        sender.arrived = lambda: self._arrived(placed, turn, exchange)
        timing = overlaid_values(self.scenario.timing, turn.timing)
        await (sender.stream(timing) if request.stream else sender.whole(timing))

    def _arrived(self, placed: Placed, turn: Turn, exchange: Exchange) -> None:
        self._stage.arrived(placed, turn, exchange.ids)
        if self.bill is not None and exchange.billed is not None:
            self.bill.settle(exchange.billed)


def _request_body(raw: bytes) -> dict[str, Any]:
    try:
        body = loads_bounded(raw)
    except ValueError as error:
        raise Surprise(f"the request's body is not JSON ({error})") from None
    if not isinstance(body, dict):
        raise Surprise("the request's body is not a JSON object")
    return body


class _Started:
    """The servers of this process by the scenario file that each plays."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.servers: dict[str, ScriptedServer] = {}

    def stop_all(self) -> None:
        with self.lock, contextlib.suppress(RuntimeError):
            for server in self.servers.values():
                server.stop()
            self.servers.clear()


_started = per_process(_Started, _Started.stop_all)


def start_scripted(path: str | Path) -> ScriptedServer:
    """Returns a running server for a scenario file; it lives as long as the process.

    The same file gives the same server. Each conversation may be played any number of times.

    Args:
        path: the file; "demo" is the one that answers the readme's question about the bundled PDF.

    Raises:
        InputError: the file cannot be read, or something in it is not understood.
    """
    if str(path) == "demo":
        from importlib import resources

        path = str(resources.files("qwenbelt.workflows.demo").joinpath("question.yaml"))
    name = str(Path(path).expanduser().resolve())
    started = _started()
    with started.lock:
        if name not in started.servers:
            started.servers[name] = ScriptedServer(Path(name), plays=None).start()
        return started.servers[name]
