"""The outcome of a cell: text, value, error, figures; collected from the kernel's messages."""

from __future__ import annotations

import base64
import binascii
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from qwenbelt.core.events import CallStatus
from qwenbelt.core.terminal import terminal_text
from qwenbelt.tools.code_interpreter.text import sendable

Message = dict[str, Any]

_OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n)(?=[^\n\r])")
_FRAMES_KEPT = 10
_LIBRARY_RUN = 3
_MOST_RICH = 100
_MOST_REPORTED = 16_384  # characters of one piece of printed text that are reported as they come
_RICH_TOTAL = 64 * 1024 * 1024
_PLOTLY = "application/vnd.plotly.v1+json"
_RICH = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/svg+xml": "svg",
    "text/html": "html",
    "application/json": "json",
    "text/latex": "tex",
}


@dataclass(frozen=True)
class Rich:
    """A displayed value that becomes a file: its file ending and bytes."""

    ending: str
    data: bytes


@dataclass
class CellOutcome:
    """What one call gives.

    Attributes:
        stdout: printed text, shortened to the limit.
        stderr: text on standard error, shortened to the limit.
        values: displayed values as text; the cell's last expression comes last.
        error: the error's trimmed traceback, or "".
        rich: figures, tables and the like.
        left_out: how much output was left out, by kind.
        interrupted: why the cell was stopped ("timeout", "cancelled"), or "".
        ending: how the kernel ended, when it did; the state is lost then.
        own_files: the files that the cell has written, or None where that is not known.
        lost_before: how an earlier kernel of the session ended before this call, or "".
        unkept: where the variables of an earlier turn were taken up, those that could not be kept.
    """

    stdout: str = ""
    stderr: str = ""
    values: list[str] = field(default_factory=list)
    error: str = ""
    error_name: str = ""
    rich: list[Rich] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    interrupted: str = ""
    ending: str = ""
    lost_before: str = ""
    unkept: dict[str, str] | None = None
    own_files: set[str] | None = None

    @property
    def status(self) -> tuple[CallStatus, str]:
        """How the cell ended, and the name of what it raised: "KeyError", "signal 9"."""
        if self.interrupted:
            return ("timeout" if self.interrupted == "timeout" else "cancelled"), ""
        if self.ending:
            return "failed", ""
        return ("raised", self.error_name) if self.error_name else ("ok", "")


class Capped:
    """Text that keeps its head and its tail within a number of characters."""

    def __init__(self, limit: int) -> None:
        self._head_room = limit * 3 // 4
        self._tail_room = limit - self._head_room
        self._head: list[str] = []
        self._tail = ""
        self.left_out = 0

    def add(self, text: str) -> None:
        """Appends text; the middle is left out when there is too much."""
        if self._head_room > 0:
            taken, text = text[: self._head_room], text[self._head_room :]
            self._head_room -= len(taken)
            self._head.append(taken)
        if text:
            joined = self._tail + text
            self.left_out += max(0, len(joined) - self._tail_room)
            self._tail = joined[-self._tail_room :]

    def text(self) -> str:
        """Returns what is kept; the gap is marked."""
        gap = f"\n… [{self.left_out} characters left out] …\n" if self.left_out else ""
        return "".join(self._head) + gap + self._tail


def plain(text: str) -> str:
    """Returns text as a terminal would leave it: without escapes and overwritten line parts."""
    text = sendable(text).replace("\r\n", "\n")
    if "\r" in text:
        text = _OVERWRITTEN.sub("", text)
    return terminal_text(text)


def trimmed_traceback(lines: list[str]) -> str:
    """Returns a traceback without colours: the cell's own frames, few of the libraries'."""
    frames = [plain(line).rstrip() for line in lines]
    if frames and not frames[0].strip("-"):
        frames = frames[1:]
    frames = _without_inner_frames(frames)
    if len(frames) > _FRAMES_KEPT:
        left = len(frames) - _FRAMES_KEPT
        half = _FRAMES_KEPT // 2
        frames = [*frames[:half], f"… [{left} frames left out] …", *frames[-half:]]
    return "\n".join(frames).strip()


def _without_inner_frames(frames: list[str]) -> list[str]:
    """Leaves out library frames between the one that was called and the one that raised."""
    kept: list[str] = []
    for is_library, group in itertools.groupby(frames, lambda f: f.lstrip().startswith("File ")):
        run = list(group)
        if is_library and len(run) > _LIBRARY_RUN:
            run = [run[0], f"  … [{len(run) - 2} frames left out] …", run[-1]]
        kept += run
    return kept


class Collector:
    """Takes one cell's messages and fills an `CellOutcome`.

    Args:
        limit: characters of printed text and of values that are kept.
        rich_limit: bytes of one displayed value.
        report: called with each piece of printed text as it comes.
    """

    def __init__(self, limit: int, rich_limit: int, report: Callable[[str], None]) -> None:
        self.outcome = CellOutcome()
        self._streams = {"stdout": Capped(limit), "stderr": Capped(limit // 2)}
        self._limit = limit
        self._rich_limit = rich_limit
        self._report = report
        self._shown: dict[str, int] = {}
        self._report_room = limit
        self._value_room = limit
        self._rich_room = _RICH_TOTAL

    def take(self, message: Message) -> None:
        """Takes one message of the iopub channel."""
        kind = message["header"]["msg_type"]
        content = message["content"]
        if kind == "stream":
            self._stream(content)
        elif kind in ("execute_result", "display_data", "update_display_data"):
            self._display(content, kind)
        elif kind == "error":
            lines = content.get("traceback")
            texts = [str(line) for line in lines] if isinstance(lines, list) else []
            self.outcome.error_name = plain(str(content.get("ename") or "Error"))[:200]
            capped = Capped(self._limit // 4)
            capped.add(trimmed_traceback(texts))
            self.outcome.error = capped.text()
        elif kind == "clear_output":
            self.outcome.rich.clear()
            self.outcome.values.clear()

    def reply(self, content: Message) -> None:
        """Takes the reply to the cell: what the pager would show (`help?`) counts as a value.

        An error whose message could not be sent is reported from here.
        """
        if content.get("status") == "error" and not self.outcome.error_name:
            self.outcome.error_name = plain(str(content.get("ename") or "Error"))[:200]
            told = Capped(self._limit // 4)
            told.add(plain(f"{self.outcome.error_name}: {content.get('evalue', '')}"))
            self.outcome.error = told.text()
        payloads = content.get("payload")
        for payload in payloads if isinstance(payloads, list) else []:
            if isinstance(payload, dict) and payload.get("source") == "page":
                data = payload.get("data")
                if isinstance(data, dict):
                    self._value(str(data.get("text/plain", "")))

    def _stream(self, content: Message) -> None:
        text = content.get("text")
        if not isinstance(text, str):
            return
        name = "stderr" if content.get("name") == "stderr" else "stdout"
        self._streams[name].add(text)
        if self._report_room > 0 and text.strip():
            self._report_room -= len(text)
            self._report(plain(text[:_MOST_REPORTED]))

    def _display(self, content: Message, kind: str) -> None:
        data = content.get("data")
        if not isinstance(data, dict):
            return
        rich = self._rich(data)
        if rich is not None:
            self._keep(rich, content, kind)
        if rich is not None and _PLOTLY in data and rich.ending == "png":  # the page beside it
            page = self._rich({"text/html": data.get("text/html")})
            if page is not None:
                self._keep(page, {}, "display_data")
        text = data.get("text/plain", data.get("text/markdown", ""))
        is_picture = rich is not None and rich.ending in ("png", "jpg", "svg")
        if isinstance(text, str) and text and not is_picture:
            self._value(text)

    def _keep(self, rich: Rich, content: Message, kind: str) -> None:
        transient = content.get("transient")
        name = transient.get("display_id") if isinstance(transient, dict) else None
        if kind == "update_display_data":
            place = self._shown.get(str(name))
            if place is not None and place < len(self.outcome.rich):
                self.outcome.rich[place] = rich
            return
        self._rich_room -= len(rich.data)
        if self._rich_room < 0 or len(self.outcome.rich) >= _MOST_RICH:
            self._leave_out("figures and tables", 1)
            return
        if name is not None:
            self._shown[str(name)] = len(self.outcome.rich)
        self.outcome.rich.append(rich)

    def _value(self, text: str) -> None:
        capped = Capped(self._limit // 2)
        capped.add(plain(text))
        shown = capped.text()
        if self._value_room <= 0:  # the last one is what matters most
            self._leave_out("displayed values", 1)
            self.outcome.values.pop()
        self._value_room -= len(shown)
        self.outcome.values.append(shown)

    def _leave_out(self, what: str, amount: int) -> None:
        self.outcome.left_out[what] = self.outcome.left_out.get(what, 0) + amount

    def _rich(self, data: Message) -> Rich | None:
        for mime, ending in _RICH.items():
            value = data.get(mime)
            if value is None:
                continue
            raw = _bytes_of(mime, value)
            if raw is not None and len(raw) <= self._rich_limit:
                return Rich(ending, raw)
            self._leave_out("figures and tables", 1)
        return None

    def finish(self) -> CellOutcome:
        """Returns the outcome."""
        outcome = self.outcome
        outcome.stdout = plain(self._streams["stdout"].text())
        outcome.stderr = plain(self._streams["stderr"].text())
        for name, stream in self._streams.items():
            if stream.left_out:
                self._leave_out(f"characters of {name}", stream.left_out)
        return outcome


def _bytes_of(mime: str, value: object) -> bytes | None:
    if mime.startswith("image/") and mime != "image/svg+xml":
        try:
            return base64.b64decode(str(value), validate=False)
        except (binascii.Error, ValueError):
            return None
    if mime == "application/json":
        import json

        return json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "replace")
    return str(value).encode("utf-8", "replace")
