"""What scripts do with standard output: they wrap its bytes, close it, or put something else there.

`sys.stdout.reconfigure(encoding="utf-8")`, `io.TextIOWrapper(sys.stdout.buffer)` and
`codecs.getwriter("utf-8")(sys.stdout.detach())` begin many a script that prints Chinese.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import Any

REPLACED = "[{name} was replaced by the code; it is the session's own again]\n"
FOLDER_GONE = "[the current folder was removed; it is now {folder}]\n"


class Bytes(io.RawIOBase):
    """The bytes below a standard stream."""

    def __init__(self, write: Callable[[str], Any], flush: Callable[[], None]) -> None:
        self._text, self._flush = write, flush
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        """It can be written to, and no more."""
        return True

    def write(self, data: Any) -> int:
        """Writes UTF-8."""
        piece = bytes(data)
        self._text(self._decoder.decode(piece))
        return len(piece)

    def flush(self) -> None:
        """Sends what was written."""
        if not self.closed:
            self._flush()


class Surroundings:
    """The streams and the folder of a cell; what it left behind that nobody could use is mended."""

    def __init__(self) -> None:
        self._streams = {name: getattr(sys, name) for name in ("stdout", "stderr")}
        self._folder = ""

    def begin(self) -> None:
        """A cell begins."""
        with contextlib.suppress(OSError):
            self._folder = os.getcwd()

    def end(self) -> None:
        """A cell has ended: later ones print, and find a folder."""
        for name, own in self._streams.items():
            now = getattr(sys, name, None)
            if now is own:
                continue
            with contextlib.suppress(Exception):  # anybody's object: its rest, if it has one
                now.flush()  # type: ignore[union-attr]
            setattr(sys, name, own)
            below = getattr(now, "buffer", None) or getattr(now, "stream", None)
            if not isinstance(below, Bytes):  # what it was given is nowhere to be seen
                own.write(REPLACED.format(name=f"sys.{name}"))
        self._find_folder()

    def _find_folder(self) -> None:
        try:
            os.getcwd()
            return
        except OSError:
            folder = self._folder
        while folder:
            with contextlib.suppress(OSError):
                os.chdir(folder)
                self._streams["stdout"].write(FOLDER_GONE.format(folder=folder))
                return
            folder = os.path.dirname(folder)
