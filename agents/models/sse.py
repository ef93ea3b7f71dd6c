"""Server-sent events as model endpoints write them: bytes in, JSON objects out.

The rules are those of the WHATWG HTML standard, section 9.2, with what servers get wrong allowed
for: events that no blank line separates, an `error:` line of older llama.cpp servers, and a stream
that ends without a blank line. Lines end at CR, LF or CRLF only: U+2028 and its kind, at which
`str.splitlines` also cuts, may be unescaped inside JSON text.
"""

from __future__ import annotations

import json
import re

from qwenbelt.agents.models.deltas import JsonDict
from qwenbelt.core.errors import EndpointError, one_line
from qwenbelt.core.jsons import loads_bounded

MAX_LINE = 16 * 1024 * 1024  # bytes of one event: no server writes more than a whole reply in one
MAX_REPLY = 64 * 1024 * 1024  # bytes of a reply; some 10 million tokens
DONE: JsonDict = {"done": True}
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class EventDecoder:
    """Takes the bytes of a stream in any pieces and gives the JSON objects of its events.

    After `[DONE]` nothing more is given.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._data: list[str] = []
        self._plain: list[str] = []  # JSON that may have been sent in place of events
        self._has_events = False
        self._first = True
        self._bytes = 0
        self.ended = False

    def feed(self, data: bytes) -> list[JsonDict]:
        """Takes the next bytes; returns the objects that they complete.

        Raises:
            EndpointError: an event is not a JSON object, or the reply is larger than is read.
        """
        if self.ended:
            return []
        out: list[JsonDict] = []
        for raw in self._lines(data):
            out += self._line(raw)
            if self.ended:
                self._buffer.clear()
                return out
        self._bytes += len(data)
        if len(self._buffer) > MAX_LINE or self._bytes > MAX_REPLY:
            raise too_large(MAX_LINE if self._bytes <= MAX_REPLY else MAX_REPLY)
        return out

    def _lines(self, data: bytes) -> list[bytes]:
        """Adds bytes to the buffer and takes its whole lines out; each byte is split once."""
        if not self._buffer and b"\r" not in data:  # the usual piece: whole events
            lines = data.split(b"\n")
            self._buffer += lines.pop()
            return lines
        ends = b"\n" in data or b"\r" in data or self._buffer.endswith(b"\r")
        self._buffer += data
        if not ends:
            return []
        whole = bytes(self._buffer)
        lines = _LINE_END.split(whole) if b"\r" in whole else whole.split(b"\n")
        rest = lines.pop()
        if whole.endswith(b"\r"):  # it may be the first half of CRLF
            rest = lines.pop() + b"\r"
        self._buffer = bytearray(rest)
        return lines

    def close(self) -> list[JsonDict]:
        """Ends the stream; returns what its last, unterminated lines held."""
        if self.ended:
            return []
        out = self._line(bytes(self._buffer).rstrip(b"\r")) if self._buffer else []
        self._buffer.clear()
        return out + self._dispatch() + self._plain_objects()

    def _plain_objects(self) -> list[JsonDict]:
        lines, self._plain = self._plain, []
        if self._has_events:
            return []
        return [json_object(text) for text in event_texts(lines)]

    def _line(self, raw: bytes) -> list[JsonDict]:
        if self._first:
            raw, self._first = raw.removeprefix(_BOM), False
        if not raw:
            return self._dispatch() if self._data else []
        line = raw.decode("utf-8", "replace")
        if line.startswith("data:"):
            self._data.append(line[5:].removeprefix(" "))
        elif line.startswith("error:"):
            self._data.append(json.dumps({"error": _field_value(line[6:].removeprefix(" "))}))
        elif self._plain or line.lstrip().startswith("{"):
            self._plain.append(line)
        return []

    def _dispatch(self) -> list[JsonDict]:
        lines, self._data = self._data, []
        out: list[JsonDict] = []
        for text in event_texts(lines):
            stripped = text.strip()
            if stripped == "[DONE]":
                self.ended = True
                return [*out, *self._plain_objects(), DONE]
            if stripped:
                self._has_events = True
                out.append(json_object(text))
        return out


def too_large(limit: int) -> EndpointError:
    """Returns the error about a reply that is larger than is read."""
    return EndpointError(
        f"The endpoint's reply is larger than {limit // 1024**2} MB; the rest was not read."
    )


def event_texts(lines: list[str]) -> list[str]:
    """Returns the texts of events; each line is one where they are no JSON together."""
    if len(lines) < 2:
        return lines
    whole = "\n".join(lines)
    try:
        loads_bounded(whole, max_bytes=MAX_LINE)
    except json.JSONDecodeError:
        return lines
    return [whole]


def _field_value(text: str) -> object:
    try:
        return loads_bounded(text, max_bytes=MAX_LINE)
    except json.JSONDecodeError:
        return {"message": text}


def json_object(text: str) -> JsonDict:
    """Returns the JSON object that an endpoint sent.

    Raises:
        EndpointError: it is something else; worth another try unless it is a web page.
    """
    try:
        value = loads_bounded(text, max_bytes=MAX_REPLY)
    except json.JSONDecodeError:
        page = text.lstrip()[:1] == "<"
        raise EndpointError(
            f"The endpoint sent something that is not JSON: {one_line(text, 80)}",
            fix="Check the URL (it usually ends in /v1)." if page else None,
            retryable=not page,
        ) from None
    if not isinstance(value, dict):
        raise EndpointError(f"The endpoint sent an unexpected chunk: {one_line(text, 80)}")
    return value
