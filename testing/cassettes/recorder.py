"""The server behind a cassette: plays recordings, and records a real endpoint through itself.

    with CassetteServer("weather.cassette.yaml") as server:                    # replay
        ...
    with CassetteServer("weather.cassette.yaml", record="new", upstream=URL) as server:
        ...                                                                    # record what is new
    server.assert_complete()

In replay the real endpoint is never touched.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.core.errors import ConfigError, one_line
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.secrets import remember_secret
from qwenbelt.core.urls import connection_options
from qwenbelt.testing.cassettes.cassette import Cassette, Recording, kept_headers, without_caller
from qwenbelt.testing.errors import CassetteMissed
from qwenbelt.testing.server.http import ClientConnection, HttpRequest, HttpServer
from qwenbelt.testing.server.reply_sender import error_body

if TYPE_CHECKING:
    import httpx
    from typing_extensions import Self

MODES = ("none", "new", "rewrite")
_SHORTEST_KEY = 8


class CassetteServer:
    """An OpenAI-compatible endpoint that answers from a cassette.

    Args:
        path: the cassette's file.
        record: "none" plays only, "new" also records what is not there, "rewrite" records all.
        upstream: the base URL of the real endpoint, for recording.
        api_key: its key; without one, the client's own key is passed on.
        model: the model's name in `llm`; the recorded one by default.
        ignore: patterns that differ from run to run, and what replaces them in keys.
        pace: plays chunks with the recorded pauses divided by this; 0: at once.
        host: the address to listen on; the loopback interface unless given.
        port: the port; 0 takes a free one.

    Attributes:
        problems: requests that were not found.

    Raises:
        InputError: the cassette cannot be read.
        ConfigError: `record` without `upstream`, or an unknown mode.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        record: str = "none",
        upstream: str | None = None,
        api_key: str | None = None,
        model: str | None = None,
        ignore: Iterable[tuple[str, str]] = (),
        pace: float = 0.0,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        if record not in MODES:
            raise ConfigError(f"`record` must be one of {', '.join(MODES)}, not {record!r}.")
        if record != "none" and not upstream:
            raise ConfigError(
                "Recording needs an endpoint.", fix="Give `upstream` (or --qwenbelt-endpoint)."
            )
        self.cassette = Cassette(path, ignore=ignore, empty=record == "rewrite")
        self.record = record
        self.upstream = (upstream or "").rstrip("/")
        self.model = model
        self.pace = pace
        self.problems: list[str] = []
        self._api_key = api_key
        remember_secret(api_key)
        self._http = HttpServer(self._handle, host=host, port=port)
        self._client: httpx.AsyncClient | None = None
        self._changed = record == "rewrite"

    @property
    def url(self) -> str:
        """The base URL for clients."""
        return f"http://{self._http.host}:{self._http.port}/v1"

    @property
    def llm(self) -> dict[str, Any]:
        """An llm dict for qwen-agent's agents and ours."""
        recorded = [str(r.request.get("model")) for r in self.cassette.recordings]
        model = self.model or (recorded[0] if recorded else "recorded")
        return {"model": model, "model_server": self.url, "api_key": self._api_key or "EMPTY"}

    def start(self) -> Self:
        """Serves from its own thread until `stop`."""
        self._http.start()
        return self

    def stop(self) -> None:
        """Stops serving and writes what was recorded.

        Raises:
            InputError: what was recorded holds something that looks like a key.
        """
        self._http.stop()
        if self._changed:
            self._changed = False
            self.cassette.save()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def assert_complete(self) -> None:
        """Checks that every request was found and every recording was played.

        Raises:
            CassetteMissed: one line for each problem.
        """
        lines = [*self.problems, *self.cassette.unused()]
        if lines:
            raise CassetteMissed("\n".join(lines))

    async def _handle(self, http: HttpRequest, connection: ClientConnection) -> None:
        path = http.path.partition("?")[0].rstrip("/")
        if http.method == "GET" and path.endswith("/models"):
            data = [{"id": self.llm["model"], "object": "model", "created": 0, "owned_by": "tape"}]
            connection.send_json(200, {"object": "list", "data": data})
            return
        if http.method != "POST" or not path.endswith("/chat/completions"):
            connection.send_json(404, error_body(404, f"Unknown request URL: {http.path}."))
            return
        try:
            body = loads_bounded(http.body)
        except ValueError as error:
            connection.send_json(400, error_body(400, f"The body is not JSON ({error})."))
            return
        found = self.cassette.find(body)
        if found is not None:
            await self._play(found, connection)
        elif self.record == "none":
            problem = self.cassette.miss(body)
            self.problems.append(problem)
            connection.send_json(400, error_body(400, problem, code="cassette_miss"))
        else:
            await self._forward(http, body, connection)

    async def _play(self, recording: Recording, connection: ClientConnection) -> None:
        connection.start_stream(recording.status, recording.headers)
        for chunk, delay in zip(recording.chunks, recording.delays, strict=False):
            if self.pace:
                await asyncio.sleep(delay / 1000 / self.pace)
            await connection.send_chunk(chunk.encode("utf-8", "surrogateescape"))

    async def _forward(
        self, http: HttpRequest, body: dict[str, Any], connection: ClientConnection
    ) -> None:
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=httpx.Timeout(600, connect=10), **connection_options(self.upstream)
            )
            self._http.at_end = self._client.aclose
        recording = Recording(self.cassette.keep_images(without_caller(body)), used=1)
        whole = False
        try:
            async with self._client.stream(
                "POST",
                f"{self.upstream}/chat/completions",
                content=http.body,
                headers=self._headers(http.headers),
            ) as reply:
                recording.status = reply.status_code
                recording.headers = kept_headers(reply.headers)
                connection.start_stream(reply.status_code, recording.headers)
                await self._copy(reply, recording, connection)
            whole = True
        except httpx.HTTPError as error:
            self._broken(error, connection)
        finally:  # clients go away as soon as they have read [DONE], which cancels this
            whole = whole or recording.body.rstrip().endswith(b"data: [DONE]")
            # a refusal or a busy server is not what the test is about
            if whole and recording.status < 400:
                recording.chunks = _whole_characters(recording.chunks)
                self.cassette.add(recording)
                self._changed = True

    async def _copy(
        self, reply: httpx.Response, recording: Recording, connection: ClientConnection
    ) -> None:
        before = time.monotonic()
        async for chunk in reply.aiter_raw():
            now = time.monotonic()
            recording.chunks.append(chunk.decode("utf-8", "surrogateescape"))
            recording.delays.append(round((now - before) * 1000))
            before = now
            await connection.send_chunk(chunk)

    def _broken(self, error: Exception, connection: ClientConnection) -> None:
        problem = (
            f"{self.upstream} cannot be reached ({one_line(error, 200) or type(error).__name__})"
        )
        self.problems.append(problem)
        if connection.streaming:
            connection.break_off()
        else:
            connection.send_json(502, error_body(502, problem))

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        out = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        key = headers.get("authorization", "")
        if self._api_key:
            key = f"Bearer {self._api_key}"
        elif len(key) > len("Bearer ") + _SHORTEST_KEY:
            remember_secret(key.partition(" ")[2])
        if key:
            out["Authorization"] = key
        return out


def _whole_characters(chunks: list[str]) -> list[str]:
    """Moves bytes of a character that was cut between two chunks into the first of them."""
    out: list[bytes] = []
    carried = b""
    for chunk in chunks:
        data = carried + chunk.encode("utf-8", "surrogateescape")
        end = len(data)
        while end and len(data) - end < 4 and not _ends_whole(data[:end]):
            end -= 1
        out.append(data[:end])
        carried = data[end:]
    if carried:
        out.append(carried)
    return [data.decode("utf-8", "replace") for data in out]


def _ends_whole(data: bytes) -> bool:
    try:
        data[-4:].decode("utf-8") if len(data) < 4 else data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.reason != "unexpected end of data"
    return True
