"""Splits the text of a reply into answer, thoughts and calls while it streams.

Read are Qwen's and Hermes' `<tool_call>{...}</tool_call>`, Qwen3-Coder's
`<function=NAME><parameter=KEY>`, and fenced or bare JSON at the end of a reply. Plain JSON is
sometimes just an answer, so only the names of offered tools make a call.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from qwenbelt.agents.models.codecs.base import Reader
from qwenbelt.agents.models.codecs.written import is_json, json_calls, may_be_calls, read_call
from qwenbelt.agents.models.deltas import (
    JsonDict,
    Relabel,
    ReplyPiece,
    Sealed,
    Text,
    Thought,
    WirePiece,
)

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_THINK, _THINK_END = "<think>", "</think>"
_FUNCTION_END = "</function>"
# where JSON that may be a call begins: on a line of its own
_JSON_MARK = r"(?:(?<=\n)|\A)[ \t]*(?:```|\{|\[)"
_JSON_HEAD = re.compile(r"[ \t]*(?:```|\{|\[)")
_LINE_TAIL = re.compile(r"(?:(?<=\n)|\A)[ \t]*`{0,2}\Z")


def held_back(text: str, *tags: str) -> int:
    """Returns how many characters at the end of `text` may be the start of one of the tags."""
    longest = max(len(tag) for tag in tags) - 1
    for size in range(min(longest, len(text)), 0, -1):
        ending = text[-size:]
        if any(tag.startswith(ending) for tag in tags):
            return size
    return 0


class TextCallReader:
    """Reads one reply; however its text is cut into deltas, the outcome is the same."""

    def __init__(self, tools: Sequence[JsonDict], owner: Reader) -> None:
        self._owner = owner
        self._schemas = {tool["name"]: tool.get("parameters") or {} for tool in tools}
        coder = tuple(f"<function={name}>" for name in self._schemas)
        self._tags = (_THINK_END, *((_OPEN, _CLOSE, *coder) if tools else ()))
        words = "|".join(re.escape(tag) for tag in self._tags)
        self._tag = re.compile(words)
        self._mark = re.compile(f"{words}|{_JSON_MARK}") if tools else self._tag
        self._state = "start"
        self._buffer = ""
        self._call_text: list[str] = []
        self._call_end = _CLOSE
        self._shown = False
        self._line_start = True
        self._skip: str | None = ""  # characters to leave out next; None for all white space
        self._looked = 0
        self._may_hold = bool(tools)

    def feed(self, piece: WirePiece) -> list[ReplyPiece]:
        """Takes the next piece; pieces other than text pass through."""
        if isinstance(piece, Thought):
            return [piece] if piece.text else []
        if not isinstance(piece, Text) or not piece.text:
            return []
        self._buffer += piece.text
        out: list[ReplyPiece] = []
        while self._step(out):
            pass
        return out

    def _step(self, out: list[ReplyPiece]) -> bool:
        """Consumes what it can of the buffer; returns whether the state changed."""
        if self._skip != "":
            self._buffer = self._buffer.lstrip(self._skip)
            if not self._buffer:
                return False
            self._skip = ""
        if self._state == "start":
            return self._start()
        if self._state == "held":
            return self._held(out)
        if self._state == "think":
            return self._thinking(out)
        if self._state == "call":
            return self._in_call(out)
        return self._in_text(out)

    def _start(self) -> bool:
        stripped = self._buffer.lstrip()
        if not stripped or (_THINK.startswith(stripped) and len(stripped) < len(_THINK)):
            return False
        if stripped.startswith(_THINK):
            self._buffer, self._skip, self._state = stripped[len(_THINK) :], "\n", "think"
        else:
            self._buffer, self._state = self._buffer.lstrip("\n"), "text"
        self._line_start = True
        return True

    def _thinking(self, out: list[ReplyPiece]) -> bool:
        before, found, after = self._buffer.partition(_THINK_END)
        keep = 0 if found else held_back(before, _THINK_END)
        thought = before[: len(before) - keep]
        if thought:
            out.append(Thought(thought))
        if not found:
            self._buffer = before[len(before) - keep :]
            return False
        self._buffer, self._skip, self._state = after, "\n", "start"
        return True

    def _in_text(self, out: list[ReplyPiece]) -> bool:
        found = self._next_mark()
        if found is None:
            keep = held_back(self._buffer, *self._tags)
            if self._may_hold:
                keep = max(keep, self._line_tail())
            self._show(self._buffer[: len(self._buffer) - keep], out)
            self._buffer = self._buffer[len(self._buffer) - keep :]
            return False
        self._show(self._buffer[: found.start()], out)
        tag, after = found.group(), self._buffer[found.end() :]
        if tag == _THINK_END:
            out.append(Relabel())
            self._buffer, self._skip, self._state = after, "\n", "start"
            self._shown = False
        elif tag == _CLOSE:
            self._buffer = after  # a closing tag that lost its opening one
        elif tag == _OPEN:
            self._buffer, self._state, self._call_end = after, "call", _CLOSE
        elif tag.startswith("<function="):
            self._buffer, self._state, self._call_end = after, "call", _FUNCTION_END
            self._call_text = [tag]
        else:
            self._buffer, self._state = self._buffer[found.start() :], "held"
            self._looked = 0
        return True

    def _next_mark(self) -> re.Match[str] | None:
        pattern = self._mark if self._may_hold else self._tag
        found = pattern.search(self._buffer)
        if found and found.start() == 0 and not self._line_start and found.group()[0] != "<":
            found = pattern.search(self._buffer, 1)
        return found

    def _line_tail(self) -> int:
        found = _LINE_TAIL.search(self._buffer)
        if found is None or (found.start() == 0 and not self._line_start):
            return 0
        return len(self._buffer) - found.start()

    def _show(self, text: str, out: list[ReplyPiece]) -> None:
        if text:
            out.append(Text(text))
            self._shown = True
            self._line_start = text.endswith("\n")

    def _held(self, out: list[ReplyPiece]) -> bool:
        """Waits while the text may turn out to be calls, which is decided at the reply's end."""
        tag = self._tag.search(self._buffer, self._looked)
        while tag is not None and tag.group() == _CLOSE:
            tag = self._tag.search(self._buffer, tag.end())
        self._looked = max(0, len(self._buffer) - max(map(len, self._tags)))
        if tag is None and may_be_calls(self._buffer, self._schemas):
            return False
        head = _JSON_HEAD.match(self._buffer)
        end = head.end() if head else 1
        self._show(self._buffer[:end], out)
        self._buffer, self._state = self._buffer[end:], "text"
        return True

    def _in_call(self, out: list[ReplyPiece]) -> bool:
        body, found, after = self._buffer.partition(self._call_end)
        if not found:
            keep = held_back(self._buffer, self._call_end)
            if len(self._buffer) > keep:
                self._call_text.append(self._buffer[: len(self._buffer) - keep])
                self._buffer = self._buffer[len(self._buffer) - keep :]
            return False
        out += self._seal("".join(self._call_text) + body)
        self._call_text, self._buffer, self._state = [], after, "text"
        self._skip, self._line_start = None, True
        return True

    def _seal(self, body: str, complete: bool = True) -> list[ReplyPiece]:
        name, arguments = read_call(body, self._schemas)
        return self._sealed(name, arguments, complete)

    def _sealed(self, name: str, arguments: str, complete: bool = True) -> list[ReplyPiece]:
        call = self._owner.new_call(name, arguments)
        call.complete = complete
        return [Sealed(call)] if complete else []

    def release(self) -> str:
        """Returns text that was held back, as text."""
        held, self._buffer = "".join(self._call_text) + self._buffer, ""
        self._call_text = []
        return held if held.strip() else ""

    def finish(self, reason: str) -> list[ReplyPiece]:
        """Ends the reply: an open call counts if its JSON is whole; held JSON may be calls."""
        state, rest = self._state, self.release()
        if not rest:
            return []
        if state == "call":
            return self._seal(rest, complete=reason != "length" or is_json(rest))
        if state == "think":
            return [Thought(rest)]
        if state != "held":
            return [Text(rest)]
        calls = json_calls(rest, self._schemas)
        if calls:
            return [piece for name, arguments in calls for piece in self._sealed(name, arguments)]
        self._may_hold, self._state = False, "text"
        return [*self.feed(Text(rest)), *self.finish(reason)]
