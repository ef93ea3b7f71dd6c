"""Splits the text of a reply into answer, thoughts and calls while it streams.

Read are Qwen's and Hermes' `<tool_call>{...}</tool_call>`, Qwen3-Coder's
`<function=NAME><parameter=KEY>`, fenced or bare JSON at the end of a reply, and the wrappers of
small models round a whole reply. A mark that is quoted, fenced or mentioned is text (`Place`);
plain JSON is sometimes just an answer, so only the names of offered tools make a call of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from qwenbelt.agents.models.codecs.base import NOTHING_YET, Reader, SoFar
from qwenbelt.agents.models.codecs.blocks import CLOSE, OPEN, CallBlock, FoundCall
from qwenbelt.agents.models.codecs.place import Place
from qwenbelt.agents.models.codecs.wrapped import (
    is_example,
    may_be_wrapped,
    shown_by_words,
    thought_calls,
    wrapped_calls,
)
from qwenbelt.agents.models.codecs.written import Written, json_calls, may_be_calls
from qwenbelt.agents.models.deltas import (
    JsonDict,
    Relabel,
    ReplyPiece,
    Sealed,
    Text,
    Thought,
    WirePiece,
)

THINK, THINK_END = "<think>", "</think>"
# JSON that may be a call begins on a new line
_JSON_MARK = r"(?:(?<=\n)|\A)[ \t]*(?:```|\{|\[)"
_JSON_HEAD = re.compile(r"[ \t]*(?:```|\{|\[)")
_LINE_TAIL = re.compile(r"(?:(?<=\n)|\A)[ \t]*`{0,2}\Z")
_GOOD_ENDS = ("", "stop", "tool_calls")
_MOST_HELD = 20  # pieces of JSON that are looked at as calls when a reply ends


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

    def __init__(
        self, tools: Sequence[JsonDict], owner: Reader, so_far: SoFar = NOTHING_YET
    ) -> None:
        self._owner = owner
        self._so_far = so_far
        offered = () if so_far.native else tools
        self._schemas = {tool["name"]: tool.get("parameters") or {} for tool in offered}
        functions = [
            form.format(name)
            for name in self._schemas
            for form in ("<function={}>", '<function name="{}">', "<function name={}>")
        ]
        self._tags = (THINK, THINK_END, *((OPEN, CLOSE, *functions) if offered else ()))
        words = "|".join(map(re.escape, self._tags))
        self._mark = re.compile(f"{words}|{_JSON_MARK}" if offered else words)
        self._state = "start"
        self._buffer = ""
        self._place = Place()
        self._block: CallBlock | None = None
        self._adjoins = False
        self._skip: str | None = ""  # characters to leave out next; None for all white space
        self._shown: list[str] = []
        self._after_call = False
        self._thoughts: list[str] = []  # those between tags
        self._thought_apart = so_far.thoughts_apart
        self._closed_thoughts = self._final = False
        self._held_before = self._made = 0

    def feed(self, piece: WirePiece) -> list[ReplyPiece]:
        """Takes the next piece; pieces other than text pass through."""
        if isinstance(piece, Thought):
            if piece.text:
                self._thought_apart = True
                self._thoughts.append(piece.text)
            return [piece] if piece.text else []
        if not isinstance(piece, Text) or not piece.text:
            return []
        return self._read(piece.text)

    def _read(self, text: str) -> list[ReplyPiece]:
        self._buffer += text
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
        if self._state == "aside":
            return self._aside(out)
        if self._state == "call":
            return self._in_call(out)
        return self._in_text(out)

    # -- thoughts --------------------------------------------------------------------------------

    def _start(self) -> bool:
        stripped = self._buffer.lstrip()
        if not stripped or (THINK.startswith(stripped) and len(stripped) < len(THINK)):
            return False
        if stripped.startswith(THINK) and not self._thought_apart:
            self._buffer, self._skip, self._state = stripped[len(THINK) :], "\n", "think"
            self._closed_thoughts = False
        elif self._is_wrapped(stripped):
            if ">" not in stripped and not self._final:
                return False
            self._state = "held"
        else:
            self._buffer, self._state = self._buffer.lstrip("\n"), "text"
        self._place.fresh()
        return True

    def _is_wrapped(self, text: str) -> bool:
        tagged = text[0] == "<" and not self._mark.match(text) and not self._shown
        return bool(self._schemas) and tagged and may_be_wrapped(text, self._schemas)

    def _think_end(self, out: list[ReplyPiece]) -> int | None:
        """Shows thoughts up to their end; returns where the tag is, or None before it is there."""
        while True:
            at = self._buffer.find(THINK_END)
            ready = at if at >= 0 else len(self._buffer) - held_back(self._buffer, THINK_END)
            self._think(self._buffer[:ready], out)
            self._buffer = self._buffer[ready:]
            if at < 0:
                return None
            after = self._buffer[len(THINK_END) :]
            mentioned = self._place.is_mentioned(after, self._final)
            if mentioned is None:
                return None
            if not mentioned:
                return 0
            self._think(THINK_END, out)
            self._buffer = after

    def _think(self, text: str, out: list[ReplyPiece]) -> None:
        if text:
            out.append(Thought(text))
            self._thoughts.append(text)
            self._place.take(text)

    def _thinking(self, out: list[ReplyPiece]) -> bool:
        if self._think_end(out) is None:
            return False
        self._buffer, self._skip, self._state = self._buffer[len(THINK_END) :], "\n", "start"
        self._closed_thoughts = True
        self._place.fresh()
        return True

    def _aside(self, out: list[ReplyPiece]) -> bool:
        """Thoughts in the middle of the text; without a closing tag they are text."""
        before, found, after = self._buffer.partition(THINK_END)
        if not found and not self._final:
            return False
        if found:
            out.append(Thought(before.strip("\n")))
            self._buffer, self._skip, self._state = after, "\n", "text"
            self._closed_thoughts = True
            self._place.fresh()
        else:
            self._show(THINK, out)
            self._state = "text"
        return True

    # -- text ------------------------------------------------------------------------------------

    def _in_text(self, out: list[ReplyPiece]) -> bool:
        found = self._mark.search(self._buffer)
        if found is None:
            keep = held_back(self._buffer, *self._tags)
            if self._schemas:
                keep = max(keep, self._line_tail())
            self._show(self._buffer[: len(self._buffer) - keep], out)
            self._buffer = self._buffer[len(self._buffer) - keep :]
            return False
        self._show(self._buffer[: found.start()], out)
        self._buffer = self._buffer[found.start() :]
        tag = found.group()
        after = self._buffer[len(tag) :]
        counts = self._counts(tag, after)
        if counts is None:
            return False
        if not counts:
            head = _JSON_HEAD.match(self._buffer) if tag[0] != "<" else None
            self._show(tag, out)
            self._buffer = self._buffer[head.end() if head else len(tag) :]
        else:
            self._enter(tag, after, out)
        return True

    def _counts(self, tag: str, after: str) -> bool | None:
        """Returns whether a mark is structure here; None while what follows may decide it."""
        if tag == THINK_END:
            if self._thought_apart or self._closed_thoughts or self._place.in_fence:
                return False
            mentioned = self._place.is_mentioned(after, self._final)
            return None if mentioned is None else not mentioned
        if tag == THINK:
            return not self._thought_apart and (
                self._place.begins_line or (self._closed_thoughts and self._place.adjoins_text)
            )
        if tag == CLOSE:  # of a call that lost its opening tag
            return self._after_call
        if tag[0] != "<":  # after a tag that is only mentioned, JSON belongs to the mention
            mentioned = "".join(self._shown[-4:]).rstrip().endswith(OPEN)
            return self._place.begins_line and not mentioned
        self._adjoins = not self._place.begins_line
        return self._place.begins_line or self._place.adjoins_text

    def _enter(self, tag: str, after: str, out: list[ReplyPiece]) -> None:
        if tag == THINK_END:
            if self._made == len(self._owner.calls):  # and none of them is a native one
                self._owner.drop()
            self._made = 0
            out.append(Relabel())
            self._thoughts += self._shown
            self._shown, self._closed_thoughts, self._after_call = [], True, False
            self._buffer, self._skip, self._state = after, "\n", "start"
        elif tag == THINK:
            self._buffer, self._state = after, "aside"
        elif tag == CLOSE:
            self._buffer = after
        elif tag[0] == "<":
            self._block = CallBlock(tag, self._schemas)
            self._buffer, self._state = after, "call"
        else:
            self._state = "held"

    def _line_tail(self) -> int:
        found = _LINE_TAIL.search(self._buffer)
        if found is None or (found.start() == 0 and not self._place.begins_line):
            return 0
        return len(self._buffer) - found.start()

    def _show(self, text: str, out: list[ReplyPiece]) -> None:
        if text:
            out.append(Text(text))
            self._shown.append(text)
            self._place.take(text)
            self._after_call = self._after_call and not text.strip()

    # -- calls -----------------------------------------------------------------------------------

    def _held(self, out: list[ReplyPiece]) -> bool:
        """Waits while the text may turn out to be calls, which is decided at the reply's end."""
        alone = not any(text.strip() for text in self._shown)
        if alone and may_be_wrapped(self._buffer, self._schemas):
            return False
        if may_be_calls(self._buffer, self._schemas):
            return False
        self._release(out)
        return True

    def _release(self, out: list[ReplyPiece]) -> None:
        head = _JSON_HEAD.match(self._buffer)
        end = head.end() if head else self._buffer.find(">") + 1 or 1
        self._show(self._buffer[:end], out)
        self._buffer, self._state = self._buffer[end:], "text"

    def _in_call(self, out: list[ReplyPiece]) -> bool:
        block = self._block
        if block is None:
            return False
        text, self._buffer = self._buffer, ""
        if text:
            block.feed(text)
        if self._final and not block.is_over:
            block.finish()
        if not block.is_over:
            out += [] if self._adjoins else self._taken(block)
            return False
        if block.is_text or (self._adjoins and not self._is_real(block)):
            self._buffer = block.text_after_opening()
            self._show(block.opening, out)
        else:
            out += self._taken(block)
            self._buffer, self._skip, self._after_call = block.rest, None, True
            self._place.fresh()
        self._state, self._block = "text", None
        return True

    def _is_real(self, block: CallBlock) -> bool:
        """Returns whether a container in the middle of a line is more than a mention of one."""
        names = [call.name for call in block.calls]
        whole = block.closed and all(call.whole for call in block.calls)
        return whole and bool(names) and all(name in self._schemas for name in names)

    def _taken(self, block: CallBlock) -> list[ReplyPiece]:
        calls, block.calls = block.calls, []
        return [piece for call in calls for piece in self._sealed(call)]

    def _sealed(self, found: FoundCall) -> list[ReplyPiece]:
        call = self._owner.new_call(found.name, found.arguments)
        self._made += 1
        call.complete = found.whole
        return [Sealed(call)] if found.whole else []

    # -- the end ---------------------------------------------------------------------------------

    def only_text(self) -> None:
        """A native call came: what is in the text of this reply is no call."""
        if not self._schemas:
            return
        self._schemas = {}
        self._tags = (THINK, THINK_END)
        self._mark = re.compile("|".join(self._tags))
        if self._block is not None:
            self._buffer, self._block = self._block.written() + self._buffer, None
        if self._state in ("held", "call"):
            self._state = "text"

    def finish(self, reason: str) -> list[ReplyPiece]:
        """Ends the reply: what is whole counts, and text that was held back may be calls."""
        self._final = True
        out = self._read("")
        while self._state == "held" and self._buffer:
            calls = self._held_calls(out)
            if calls:
                self._buffer = ""
                out += [p for name, given in calls for p in self._sealed(FoundCall(name, given))]
            else:
                self._held_before += 1
                self._release(out)
                if self._held_before > _MOST_HELD:
                    self._show(self._buffer, out)
                    self._buffer = ""
            out += self._read("")
        self._rest(out)
        if reason in _GOOD_ENDS and not self._owner.calls:
            out += self._called_in_thoughts()
        return out

    def _rest(self, out: list[ReplyPiece]) -> None:
        rest, self._buffer = self._buffer, ""
        if self._state == "think":
            self._think(rest, out)
        elif rest.strip():
            self._show(rest, out)

    def _held_calls(self, out: list[ReplyPiece]) -> list[Written]:
        if is_example("".join(self._shown)):
            return []
        calls = json_calls(self._buffer, self._schemas)
        if not calls and not any(text.strip() for text in self._shown):
            calls = wrapped_calls(self._buffer, self._schemas)
        if not calls:
            calls, words = shown_by_words(
                "".join(self._shown), self._buffer, self._schemas, self._so_far
            )
            if calls:
                self._show(words, out)
        return calls

    def _called_in_thoughts(self) -> list[ReplyPiece]:
        """A whole call at the end of thoughts that were never closed is meant as one."""
        if any(text.strip() for text in self._shown) or not self._schemas:
            return []
        if self._closed_thoughts:
            return []
        calls = thought_calls("".join(self._thoughts), self._schemas)
        return [piece for call in calls for piece in self._sealed(call)]
