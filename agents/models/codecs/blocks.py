"""One container of calls in text: the text from `<tool_call>` or `<function=NAME>` on.

However a model fills it, all calls in it are found: JSON objects one after the other or in a list,
several functions, an opening tag where the closing one belongs. JSON delimits itself, so a tag
inside a string ends nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from qwenbelt.agents.models.codecs.coder import read_function
from qwenbelt.agents.models.codecs.written import Schemas, Written, read_broken, read_json
from qwenbelt.agents.models.json_scanner import JsonSeal

OPEN, CLOSE = "<tool_call>", "</tool_call>"
_TRIGGER = re.compile(r"</tool_call>|<tool_call>|</function>|<function")
_LONGEST = len(CLOSE)
_BEFORE = re.compile(r"\s*(?:```[a-zA-Z_]*\s*)?")
_JSON_CALL = re.compile(r"\{|\[\s*(?:\{|\Z)")
_GAP = re.compile(r"(?:[\s,;}\]]|</function>|```[a-z_]*)*")
_STARTS = (CLOSE, OPEN, "<function", "</function>", "```")
_FOREIGN_BODY = 2000  # a body that is no call is reported if it closes within so many characters
_ATTEMPTS = 64  # readings of one body while it grows; after them it is read when the reply ends


@dataclass(frozen=True, slots=True)
class FoundCall:
    """A call as it was found; one that is not whole was cut off and does not run."""

    name: str
    arguments: str
    whole: bool = True


class CallBlock:
    """Reads a container while it grows.

    Args:
        opening: its opening tag, as written.
        schemas: of the offered tools, by name.

    Attributes:
        calls: found so far; the reader removes them.
        is_over: whether it has ended.
        is_text: whether it has turned out to be no call; then all of it is text.
        closed: whether its closing tag was seen.
        rest: what follows the container.
    """

    def __init__(self, opening: str, schemas: Schemas) -> None:
        self.calls: list[FoundCall] = []
        self.opening = opening
        self.rest = ""
        self.is_over = self.is_text = self.closed = False
        self._schemas = schemas
        self._alone = opening != OPEN  # a function that no container holds
        self._pieces = [opening]
        self._start = 0 if self._alone else len(opening)
        self._mode = "coder" if self._alone else ""
        self._found_any = False
        self._seal: JsonSeal | None = None
        self._attempts = self._looked = 0
        self._tail = ""

    def _text(self) -> str:
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    def written(self) -> str:
        """Returns all of it as it was written."""
        return self._text()

    def text_after_opening(self) -> str:
        """Returns what was written after the opening tag."""
        return self._text()[len(self.opening) :]

    def feed(self, piece: str) -> None:
        """Takes the next text."""
        self._pieces.append(piece)
        triggered = bool(_TRIGGER.search(self._tail + piece))
        self._tail = (self._tail + piece)[-_LONGEST:]
        sealed = self._seal is not None and self._seal.feed(piece)
        waits = self._mode in ("json", "doubtful") or (self._mode == "coder" and self._attempts)
        if triggered or sealed or not waits:
            self._advance(final=False)

    def finish(self) -> None:
        """Ends the reply: complete calls count, others are reported or shown as text."""
        self._advance(final=True)
        if self.is_over:
            return
        text = self._text()[self._start :]
        if self._mode == "coder":
            name = text.partition("=")[2].partition(">")[0].strip()
            self.calls.append(FoundCall(name, "", whole=False))
            self.rest = text.partition(CLOSE)[2]
        elif self._mode in ("json", "doubtful"):
            body, closed, self.rest = text.partition(CLOSE)
            if not (closed or self._found_any or _JSON_CALL.match(body)):
                self._give_up()
            else:
                self.calls.append(FoundCall(*read_broken(body), whole=bool(closed)))
        elif self._found_any:
            self.rest = text
        else:
            self._give_up()
        self.is_over = True

    # -- the body --------------------------------------------------------------------------------

    def _advance(self, *, final: bool) -> None:
        """Reads on as far as the text allows."""
        steps = {"json": self._json, "doubtful": self._doubtful, "coder": self._coder}
        while not self.is_over:
            before = self._start, self._mode
            steps.get(self._mode, self._between)(self._text(), final)
            if (self._start, self._mode) == before:
                return

    def _between(self, text: str, final: bool) -> None:
        """Decides what follows: a value, a function, the end, or something that is no call."""
        gap = (_GAP if self._found_any else _BEFORE).match(text, self._start)
        place = gap.end() if gap else self._start
        rest = text[place : place + _LONGEST]
        if rest[:1] in ("{", "["):
            self._start, self._mode, self._seal = place, "json", JsonSeal()
            self._seal.feed(text[place:])
        elif rest.startswith("<function"):
            self._start, self._mode = place, "coder"
        elif rest.startswith(OPEN) and not self._found_any:
            self._start = place + len(OPEN)  # abandoned for another
        elif rest.startswith(CLOSE):
            self.closed = True
            if not self._found_any:  # an empty container
                self.calls.append(FoundCall("", ""))
            self._end(place + len(CLOSE))
        elif not final and any(start.startswith(rest) for start in _STARTS):
            return
        elif self._found_any:
            self._end(place if rest.startswith(OPEN) else self._start)
        elif final or rest:
            self._other(text, final)

    def _other(self, text: str, final: bool) -> None:
        """A body that is neither JSON nor a function: reported when it is closed, else text."""
        place = text.find(CLOSE, self._start)
        behind = text[place + len(CLOSE) :][:1]
        body = text[self._start : place]
        if place < 0 or len(body) > _FOREIGN_BODY:
            if final or len(text) - self._start > _FOREIGN_BODY + _LONGEST:
                self._give_up()
        elif behind or final:
            own_lines = body[:1] == "\n" and not body.rpartition("\n")[2].strip()
            meant = own_lines or any(name in body for name in self._schemas)
            if behind in ("", "\n", "<") and meant:
                self.closed = True
                self.calls.append(FoundCall("", body.strip()))
                self._end(place + len(CLOSE))
            else:
                self._give_up()

    def _json(self, text: str, final: bool) -> None:
        if self._seal is None or self._seal.end is None:
            return self._doubtful(text, final)
        end = self._start + self._seal.end
        calls = read_json(text[self._start : end])
        if not calls:
            self._mode, self._seal = "doubtful", None
            return None
        return self._take(calls, end)

    def _doubtful(self, text: str, final: bool) -> None:
        """Reads JSON that does not come to its own end, or not to one that is a call, at its tag.

        Quotes that were not escaped and braces that were left out make a scanner miss the end.
        """
        place = text.find(CLOSE, max(self._start, self._looked))
        while place >= 0 and self._attempts < _ATTEMPTS:
            self._attempts += 1
            self._looked = place + 1
            body = text[self._start : place].strip()
            calls = read_json(body)
            name, arguments = read_broken(body)
            if not calls and name and read_json(f'{{"name": "x", "arguments": {arguments}}}'):
                calls = [(name, arguments)]
            if calls:
                return self._take(calls, place)
            place = text.find(CLOSE, self._looked)
        return None

    def _coder(self, text: str, final: bool) -> None:
        self._attempts += 1
        found = None
        if self._attempts <= _ATTEMPTS or final:
            found = read_function(text, self._start, self._schemas, final=final)
        if found is None:
            return
        if found.kind == "text":
            if self._found_any:
                self._end(self._start)
            else:
                self._give_up()
        elif found.kind == "abandoned":
            if text.startswith("<function", found.end):
                self._start = found.end
        else:
            self._take([(found.name, found.arguments)], found.end)
            if self._alone:
                self.closed = True
                self._end(found.end)

    def _take(self, calls: list[Written], end: int) -> None:
        self.calls += [FoundCall(*call) for call in calls]
        self._found_any, self._start, self._mode, self._seal = True, end, "", None

    def _end(self, place: int) -> None:
        self.rest, self.is_over = self._text()[place:], True

    def _give_up(self) -> None:
        self.is_over = self.is_text = True
