"""The trace of a run: one JSON object a line, in chronological order.

Every line has `t`, seconds of the machine's monotonic clock, and `event`. Values that are known
secrets, or look like API keys, are replaced before anything is written.
"""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from qwenbelt.core.closing import Closing
from qwenbelt.core.errors import InputError
from qwenbelt.core.events import Event, Notice, TextDelta, ThinkingDelta
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.kept_files import keep_file_closed, let_go
from qwenbelt.core.secrets import mask_secrets


class TraceWriter(Closing):
    """Writes events to a file, or keeps them in memory when `path` is None.

    Text and thinking deltas are joined: one line for each stretch of text, so a trace grows with
    the answer and not with the number of chunks.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(path) if path is not None else None
        self._file: io.TextIOBase | None = None
        self.lines: list[dict[str, Any]] = []
        self._pending: list[str] = []
        self._pending_kind = ""
        self._pending_time = 0.0
        self._lock = threading.Lock()
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("w", encoding="utf-8")
            keep_file_closed(self.path)

    def write(self, event: Event) -> None:
        """Adds one event; may be called from any thread."""
        now = time.monotonic()
        with self._lock:
            if isinstance(event, (TextDelta, ThinkingDelta)):
                if self._pending_kind != event.kind:
                    self._flush_text()
                    self._pending_kind, self._pending_time = event.kind, now
                self._pending.append(event.text)
                return
            self._flush_text()
            self._put({"t": now, **event.to_dict()})

    def note(self, text: str) -> None:
        """Adds a notice."""
        self.write(Notice(text))

    def _flush_text(self) -> None:
        if self._pending:
            text = "".join(self._pending)
            self._put({"t": self._pending_time, "event": self._pending_kind, "text": text})
        self._pending, self._pending_kind = [], ""

    def _put(self, record: dict[str, Any]) -> None:
        if self._file is None:
            self.lines.append(record)
            return
        self._file.write(mask_secrets(json.dumps(record, ensure_ascii=False, default=str)) + "\n")

    def flush(self) -> None:
        """Hands everything written so far to the operating system."""
        with self._lock:
            self._flush_text()
            if self._file is not None:
                self._file.flush()

    def close(self) -> None:
        """Writes what is pending and closes the file."""
        with self._lock:
            self._flush_text()
            if self._file is not None:
                self._file.close()
                self._file = None
                if self.path is not None:
                    let_go(self.path)


def read_trace(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Returns the records of a trace file.

    Raises:
        InputError: the file is missing or a line is not a JSON object.
    """
    try:
        with Path(path).open(encoding="utf-8") as lines:
            return list(_parse(path, lines))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a trace ({error})") from error


def _parse(path: str | os.PathLike[str], lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = loads_bounded(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{number}: not a JSON object ({error.msg})") from error
        if not isinstance(record, dict) or "event" not in record:
            raise InputError(f"{path}:{number}: not a trace line (no `event`)")
        yield record


def overlapping_calls(records: Iterable[dict[str, Any]]) -> int:
    """Returns the greatest number of tool calls that ran at the same time, by the trace's times."""
    edges: list[tuple[float, int]] = []
    for record in records:
        if record["event"] == "tool_finished" and record.get("started") is not None:
            edges += [(record["started"], 1), (record["finished"], -1)]
    running = most = 0
    for _, step in sorted(edges):
        running += step
        most = max(most, running)
    return most
