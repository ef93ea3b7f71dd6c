"""Sends replies over HTTP: whole or as server-sent events, at their pace, with their faults."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qwenbelt.testing.scenarios.request import ChatRequest
from qwenbelt.testing.scenarios.scenario import Call, Fault, Timing, Turn
from qwenbelt.testing.server.billing import CHARACTERS_A_TOKEN, Billed
from qwenbelt.testing.server.http import ClientConnection
from qwenbelt.testing.server.reply_writer import (
    Piece,
    WrittenReply,
    reply_deltas,
    usage_of,
)

_STREAM_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
_UTF8 = ("utf-8", "backslashreplace")  # half an emoji goes out as JSON's own escape of it
_encode = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps makes an encoder a call
_ERROR_TYPES = {401: "authentication_error", 429: "rate_limit_error"}


@dataclass
class Exchange:
    """One request and what became of it. Times are seconds of the machine's monotonic clock.

    Attributes:
        request: what was asked.
        turn: the name of the turn that answered, or "".
        conversation: the conversation's name.
        play: counts the plays of the conversation from 1.
        attempt: counts the attempts at this turn from 1.
        received: when the request was complete.
        first_byte: when the first byte of the reply was sent, or None.
        sealed: when the arguments of each call were complete on the wire.
        finished: when the reply was complete, or None if it broke off.
        status: the HTTP status.
        problem: why it was refused, or "".
        reply: the message that was sent, or None.
        calls: the calls in it, whatever their form.
        ids: their ids.
        connection: the number of the client's connection, from 1.
        sent: the body as it came, where it came in another form than `request.body`'s.
        billed: what a cache of the endpoint would have held of it, for a server that bills.
    """

    request: ChatRequest
    turn: str = ""
    conversation: str = ""
    play: int = 0
    attempt: int = 0
    received: float = 0.0
    first_byte: float | None = None
    sealed: list[float] = field(default_factory=list)
    finished: float | None = None
    status: int = 0
    problem: str = ""
    reply: dict[str, Any] | None = None
    calls: tuple[Call, ...] = ()
    ids: tuple[str, ...] = ()
    connection: int = 0
    billed: Billed | None = None
    sent: dict[str, Any] | None = None


def error_body(status: int, message: str, *, code: str | None = None) -> dict[str, Any]:
    """Returns an error as OpenAI's API writes it."""
    kind = "server_error" if status >= 500 else _ERROR_TYPES.get(status, "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


async def send_failure(fault: Fault, exchange: Exchange, connection: ClientConnection) -> None:
    """Sends an error, breaks the connection, or waits until the client goes away."""
    if fault.hang:
        await asyncio.Event().wait()  # ends when the client goes away
    if fault.reset:
        connection.transport.abort()
        return
    status = exchange.status = fault.status or 500
    exchange.first_byte = exchange.finished = time.monotonic()
    headers = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
    if fault.html:
        body = f"<html><body><h1>{status}</h1><p>nginx</p></body></html>".encode()
        connection.send(status, body, {"Content-Type": "text/html", **headers})
        return
    message = fault.message or f"The scenario answers with status {status}."
    connection.send_json(status, error_body(status, message, code=fault.code), headers)


class Sender:
    """Sends one reply, at its pace, with its fault.

    Attributes:
        arrived: called just before the last bytes go out, when the client will have the whole.
    """

    def __init__(
        self,
        exchange: Exchange,
        connection: ClientConnection,
        reply: WrittenReply,
        turn: Turn,
        fault: Fault,
    ) -> None:
        self.exchange = exchange
        self.connection = connection
        self.reply = reply
        self.turn = turn
        self.fault = fault
        self.arrived: Callable[[], None] = lambda: None
        self.sent = 0
        body = exchange.request.body
        self.frame = {
            "id": f"chatcmpl-{exchange.request.number}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": body.get("model", ""),
        }

    async def whole(self, timing: Timing) -> None:
        """Sends the reply as one JSON object."""
        made = list(reply_deltas(self.reply, self.fault))
        await asyncio.sleep(sum(_pauses_between_pieces(made, timing)))
        choice = {
            "index": 0,
            "message": self.exchange.reply,
            "finish_reason": self.reply.finish_reason,
        }
        usage = self._usage()
        data = _encode({**self.frame, "choices": [choice], "usage": usage}).encode(*_UTF8)
        if self.fault.bad_body:
            data = data[: len(data) // 2]
        now = self.exchange.first_byte = time.monotonic()
        cut = self.fault.cut_after
        if cut is not None and cut < len(data):
            self.connection.start_stream(200, {"Content-Type": "application/json"})
            await self.connection.send_chunk(data[:cut])
            self.connection.break_off()
            return
        self.exchange.sealed = [now] * len(self.reply.calls)
        self._finish(now)
        self.connection.send(200, data, {"Content-Type": "application/json"})

    async def stream(self, timing: Timing) -> None:
        """Sends the reply as server-sent events."""
        self.frame["object"] = "chat.completion.chunk"
        made = list(reply_deltas(self.reply, self.fault))
        if self.fault.error_in_stream:
            made = made[: (len(made) + 1) // 2]
        due = time.monotonic()
        waiting: list[Mapping[str, Any]] = []
        sealing = 0
        self.connection.start_stream(200, _STREAM_HEADERS)
        for piece, pause in zip(made, _pauses_between_pieces(made, timing), strict=True):
            if pause:
                if not await self._write(self._events(waiting), sealing):
                    return
                waiting, sealing, due = [], 0, due + pause
                await asyncio.sleep(due - time.monotonic())
            waiting.append(piece.delta)
            sealing += piece.seals is not None
        await self._write(self._events(waiting) + self._ending(), sealing, last=True)

    def _usage(self) -> dict[str, Any]:
        return usage_of(self.turn, self.reply, self.exchange.request, self.exchange.billed)

    def _finish(self, now: float) -> None:
        """Notes that the client has all, before it can know, so that no one sees half of it."""
        self.exchange.finished = now
        if not self.fault.undelivered or self.fault.cut_after is not None:
            self.arrived()

    def _events(self, deltas: Sequence[Mapping[str, Any]], finish: str | None = None) -> str:
        """Returns one event a delta; what they share is encoded once."""
        head = f'data: {_encode(self.frame)[:-1]}, "choices": [{{"index": 0, "delta": '
        tail = f', "finish_reason": {_encode(finish)}}}]}}\n\n'
        return "".join(f"{head}{_encode(delta)}{tail}" for delta in deltas)

    def _ending(self) -> str:
        if self.fault.error_in_stream:
            message = self.fault.message or "The scenario breaks this stream."
            body = error_body(500, message, code=self.fault.code)
            return f"data: {_encode(body)}\n\n"
        out = self._events([{}], self.reply.finish_reason)
        if self.fault.bad_body:
            return out[: len(out) // 2] + "\n\n"
        options = self.exchange.request.body.get("stream_options")
        if isinstance(options, dict) and options.get("include_usage"):
            last = {**self.frame, "choices": [], "usage": self._usage()}
            out += f"data: {_encode(last)}\n\n"
        return out if self.fault.no_done else out + "data: [DONE]\n\n"

    async def _write(self, text: str, sealing: int, *, last: bool = False) -> bool:
        if not text:
            return True
        data = text.encode(*_UTF8)
        now = time.monotonic()
        if self.exchange.first_byte is None:
            self.exchange.first_byte = now
        cut = self.fault.cut_after
        if cut is not None and self.sent + len(data) > cut:
            await self.connection.send_chunk(data[: cut - self.sent])
            self.connection.break_off()
            return False
        self.exchange.sealed += [now] * sealing
        if last and not self.connection.transport.is_closing():
            self._finish(now)
        self.sent += len(data)
        size = self.reply.wire.bytes or len(data)
        for at in range(0, len(data), size):
            ended = last and at + size >= len(data)
            await self.connection.send_chunk(data[at : at + size], last=ended)
            if not ended and self.reply.wire.bytes:
                await asyncio.sleep(0)
        return True


def _pauses_between_pieces(made: list[Piece], timing: Timing) -> list[float]:
    """Returns the seconds to wait before each piece."""
    pace = CHARACTERS_A_TOKEN * (timing.tokens_per_second or 0.0)
    out = [piece.size / pace if pace else 0.0 for piece in made]
    if out:
        out[0] += timing.first_token or 0.0
    begun = 0
    for index, piece in enumerate(made):
        if piece.begins is not None:
            out[index] += (timing.between_calls or 0.0) if begun else 0.0
            begun += 1
    return out
