"""ReAct text: Thought, Action, Action Input, Observation; several actions in a step are allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qwenbelt.agents.models.codecs.base import (
    NOTHING_YET,
    Codec,
    Reader,
    SoFar,
    add_to_system,
    compact_json,
    tool_names,
)
from qwenbelt.agents.models.codecs.text import TextCallReader, held_back
from qwenbelt.agents.models.deltas import (
    CallResult,
    JsonDict,
    ModelReply,
    Relabel,
    ReplyPiece,
    Sealed,
    Text,
    WirePiece,
)
from qwenbelt.agents.models.json_scanner import JsonSeal
from qwenbelt.agents.prompts import REACT_PROMPT
from qwenbelt.core.language import Language

_ACTION = re.compile(r"(?:\A|\n)[ \t]*Action[ \t]*:[ \t]*([^\n]*?)[ \t]*\n")
_INPUT = re.compile(r"\s*Action[ \t]*Input[ \t]*:[ \t]*")
_NEXT = re.compile(r"\n[ \t]*(?:Action|Thought|Observation|Final Answer)[ \t]*:")
_OBSERVATION = re.compile(r"(?:\A|\n)[ \t]*Observation[ \t]*:")
_FINAL = re.compile(r"(?:\A|\n)[ \t]*Final Answer[ \t]*:[ \t]*")
_FENCE = re.compile(r"^[ \t]{0,3}(?:```|~~~)", re.M)
_HEADS = ("\nAction", "\nObservation:", "\nFinal Answer")


class ReActReader(Reader):
    """Reads actions from text while it streams.

    The text that is shown is the whole transcript, as qwen-agent's ReActChat shows it, without
    anything from an invented `Observation:` on, whether or not the server obeys `stop`.
    """

    def __init__(self, tools: Sequence[JsonDict], so_far: SoFar = NOTHING_YET) -> None:
        super().__init__(tool_names(tools), so_far)
        self._thoughts = TextCallReader((), self, so_far)
        self._all = ""
        self._shown = 0
        self._read = 0
        self._ended = False

    def feed(self, piece: WirePiece) -> list[ReplyPiece]:
        """Takes the next piece of the reply."""
        return [out for part in self._thoughts.feed(piece) for out in self._take(part)]

    def _take(self, part: ReplyPiece) -> list[ReplyPiece]:
        if isinstance(part, Relabel):  # all of it was thoughts, and no action among them counts
            self.drop()
            self._all, self._shown, self._read, self._ended = "", 0, 0, False
        if not isinstance(part, Text):
            return [part]
        if self._ended:
            return []
        self._all += part.text
        found = _OBSERVATION.search(self._all, max(0, self._shown - 1))
        final = _FINAL.search(self._all)
        if found and not (final and final.start() < found.start()):
            self._all, self._ended = self._all[: found.start()], True
        out = self._show(self._all if self._ended else self._safe())
        return out + self._actions(final=self._ended)

    def finish(self, reason: str) -> list[ReplyPiece]:
        """Ends the reply: an action whose input runs to the end of the text is complete."""
        out = [piece for part in self._thoughts.finish(reason) for piece in self._take(part)]
        out += self._show(self._all)
        cut = reason not in ("", "stop", "tool_calls")
        return out + self._actions(final=not cut, cut=cut)

    def _counts(self, place: int) -> bool:
        """Returns whether an action there is one: neither part of the answer nor shown in a fence.

        A fence round the whole reply is none.
        """
        final = _FINAL.search(self._all)
        if final and final.start() <= place:
            return False
        fences = len(_FENCE.findall(self._all, 0, place))
        return (fences - self._all.lstrip().startswith("```")) % 2 == 0

    def _safe(self) -> str:
        return self._all[: len(self._all) - held_back(self._all, *_HEADS)]

    def _show(self, text: str) -> list[ReplyPiece]:
        new = text[self._shown :]
        self._shown = max(self._shown, len(text))
        return [Text(new)] if new else []

    def _actions(self, final: bool, cut: bool = False) -> list[ReplyPiece]:
        out: list[ReplyPiece] = []
        while True:
            action = _ACTION.search(self._all, self._read)
            start = _INPUT.match(self._all, action.end()) if action else None
            if action is None or start is None:
                return out
            if not self._counts(action.start()):
                self._read = action.end()
                continue
            body, end = self._input(start.end(), final)
            if end is None:
                if cut:
                    self.new_call(action.group(1), body)
                    self._read = len(self._all)
                return out
            self._read = end
            call = self.new_call(action.group(1).strip("`* "), body)
            call.complete = True
            out.append(Sealed(call))

    def _input(self, start: int, final: bool) -> tuple[str, int | None]:
        """Returns the text of an input and where it ends, or None while it is incomplete."""
        rest = self._all[start:]
        opening = rest.lstrip()
        if opening[:1] == "{":
            seal = JsonSeal()
            if seal.feed(rest) and seal.end is not None:
                return rest[: seal.end].strip(), start + seal.end
        if opening.startswith("```"):
            fence = re.match(r"\s*```.*?\n```", rest, re.S)
            if fence:
                return fence.group().strip(), start + fence.end()
        following = _NEXT.search(rest)
        if following and not opening.startswith("```"):
            return rest[: following.start()].strip(), start + following.start()
        return (rest.strip(), len(self._all)) if final else (rest.strip(), None)


def final_answer(text: str) -> str:
    """Returns what follows the last `Final Answer:`, or the whole text without it."""
    ends = [found.end() for found in _FINAL.finditer(text)]
    return text[ends[-1] :].strip() if ends else text.strip()


class ReActCodec(Codec):
    """The format of Yao et al. 2022 (ReAct) as qwen-agent's ReActChat words it."""

    form = "react"
    stop = ("Observation:", "Observation:\n")

    def offer(
        self, messages: list[JsonDict], tools: Sequence[JsonDict], choice: str, language: Language
    ) -> JsonDict:
        """Writes the tools and the format into the system prompt; no body fields."""
        if choice == "none":
            return {}
        described = "\n\n".join(
            f"{t['name']}: {t['description']} Parameters: {compact_json(t['parameters'])}"
            for t in tools
        )
        names = ", ".join(tool_names(tools))
        add_to_system(messages, REACT_PROMPT[language].format(tools=described, names=names))
        return {}

    def reader(self, tools: Sequence[JsonDict], so_far: SoFar = NOTHING_YET) -> Reader:
        """Returns a reader for one reply."""
        return ReActReader(tools, so_far)

    def reply_message(self, reply: ModelReply) -> JsonDict:
        """Returns the assistant message: the transcript of the step."""
        return {"role": "assistant", "content": reply.text}

    def result_messages(self, results: Sequence[CallResult]) -> list[JsonDict]:
        """Returns one user message with the observations in the order of the actions."""
        return [{"role": "user", "content": observations(results)}]


def observations(results: Sequence[CallResult]) -> str:
    """Returns the observations of a step; several are labelled with their tool's name."""
    if len(results) == 1:
        return f"Observation: {results[0].text}"
    return "\n".join(f"Observation {n} ({r.name}): {r.text}" for n, r in enumerate(results, 1))
