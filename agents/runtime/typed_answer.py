"""The typed answer of a run: asked for, shown while it arrives, checked, repaired."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.answers.prompts import FINAL_TOOL_DOES, TOO_EARLY
from qwenbelt.agents.models.deltas import CallDelta, Finish, ToolCall, WirePiece
from qwenbelt.agents.models.dialects import structured_fields
from qwenbelt.agents.models.repetition import EndlessReply
from qwenbelt.agents.prompts import CUT_OFF as CUT_OFF_CALL
from qwenbelt.agents.runtime.outcome import CallOutcome, failed_outcome
from qwenbelt.agents.runtime.reply_ends import WHOLE
from qwenbelt.core.errors import AnswerInvalid, ToolError
from qwenbelt.core.events import Partial

if TYPE_CHECKING:
    from qwenbelt.agents.answers.typed import AnswerForm
    from qwenbelt.agents.runtime.run import RunConfig
    from qwenbelt.core.language import Language

FINAL_TOOL = "final_answer"
MAX_REPAIRS = 2
WHOLE_OR_CUT = (*WHOLE, "length")
_SHARE = 1.05  # a partial value is read again when its text has grown by so much
_GRAMMARS = ("llamacpp", "ollama", "vllm", "sglang", "local")  # they keep to maxLength, maxItems


class TypedAnswer:
    """What a run knows of its typed answer.

    Args:
        form: what the answer must fit.
        model: the run's model; one that constrains replies is made to.
        language: of what the model reads.
        emit: takes the events of an answer that arrives.

    Attributes:
        value: the checked answer.
        is_there: whether it has come.
        repairing: whether the next reply corrects an answer that did not fit.
    """

    def __init__(
        self, form: AnswerForm, model: Any, language: Language, emit: Callable[[Partial], None]
    ) -> None:
        self.form = form
        self._language = language
        self._emit = emit
        self.value: Any = None
        self.is_there = False
        self.repairing = False
        self._model = model
        self._repairs = 0
        self._cuts = 0
        self._read = 0
        self._shown: Any = None
        self._final = ""  # the name of the tool that takes the answer, once it is declared
        self._arriving: list[str] | None = None  # the arguments of its call
        self._faults: dict[str, str] = {}  # of such calls, by their ids

    @property
    def structured(self) -> str:
        """The body field with which the endpoint constrains replies; "" for none."""
        known = getattr(self._model, "known", None)
        dialect = getattr(self._model, "dialect", None)
        field = getattr(known, "structured", None)
        field = getattr(dialect, "structured", "") if field is None else field
        return "" if field in getattr(known, "refused", ()) else str(field)

    @property
    def by_call(self) -> bool:
        """Whether the answer is the call of a tool: calls can be forced, replies not constrained.

        Nothing but the dialect and what the endpoint has refused says so; an endpoint that does
        not keep to `tool_choice` answers in words, which are read too.
        """
        model = self._model
        form = getattr(getattr(model, "codec", None), "form", "")
        named = getattr(getattr(model, "dialect", None), "named_choice", False)
        refused = getattr(getattr(model, "known", None), "refused", ())
        return (
            form == "native"
            and bool(named)
            and "tool_choice" not in refused
            and (not self.structured)
        )

    def declared(self, tools: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Returns the tools with the one that takes the answer, where that is how it is given.

        It comes first, since other tools may be declared later and prefixes shall stay.
        """
        if not self._final and not self.by_call:
            return list(tools)
        taken = {tool["name"] for tool in tools}
        self._final = self._final or next(
            name for n in range(len(taken) + 1) if (name := FINAL_TOOL + "_" * n) not in taken
        )
        told = {"name": self._final, "description": FINAL_TOOL_DOES[self._language]}
        return [{**told, "parameters": self.form.schema}, *tools]

    def choice(self, tools: Sequence[dict[str, Any]], *, last: bool) -> str:
        """Returns what the next reply may call."""
        if self._final and self.by_call and (self.repairing or last or len(tools) == 1):
            return self._final
        return "none" if self.repairing or last else "auto"

    def takes(self, call: ToolCall) -> bool:
        """Says whether a call gives the answer."""
        return bool(self._final) and call.name == self._final

    def called(self, calls: list[ToolCall]) -> str:
        """Takes an answer that fits out of a reply's calls, and returns its JSON.

        Others stay, and have a result as every call (`fault_of`): the fault, or that it came too
        early, since calls beside it are to be read first.
        """
        finals = [call for call in calls if self.takes(call)]
        fault = "" if len(finals) == len(calls) else TOO_EARLY[self._language]
        for call in finals:
            self._faults[call.id] = fault or self._checked(call)
        if not finals or fault:
            return ""
        if self._faults[finals[0].id] and self._repairs < MAX_REPAIRS:
            self._repairs += 1
            self.repairing = True
            return ""
        calls.clear()
        return finals[0].arguments

    def fault_of(self, call: ToolCall) -> str:
        """Returns what the model reads about an answer that was not taken, "" for other calls."""
        return self._faults.get(call.id, "") if self.takes(call) else ""

    def _checked(self, call: ToolCall) -> str:
        from qwenbelt.agents.answers.typed import DoesNotFit

        try:
            self.form.read(call.arguments)
        except DoesNotFit as error:
            told: str = self.form.repair(str(error), self._language)
            return told
        return ""

    def _watch(self, piece: WirePiece) -> None:
        """Reports what there is of an answer that arrives as a call."""
        if not isinstance(piece, CallDelta) or not self._final:
            return
        if piece.name:
            self._arriving = [] if piece.name == self._final else None
        if self._arriving is not None and piece.arguments:
            self._arriving.append(piece.arguments)
            self.show(self._arriving, self._emit)

    def fields(self, *, tools: bool) -> dict[str, Any]:
        """Returns body fields for the next request; none beside tools that may still be called."""
        if not self.structured or (tools and not self.repairing):
            return {}
        return structured_fields(self.structured, self._schema())

    def _schema(self) -> dict[str, Any]:
        """The schema for the next reply; with bounds once an answer has found no end."""
        dialect = getattr(getattr(self._model, "dialect", None), "name", "")
        if not self._cuts or dialect not in _GRAMMARS:
            return self.form.schema
        from qwenbelt.agents.answers.bounds import bounded_schema

        bounded: dict[str, Any] = bounded_schema(self.form.schema, self._cuts)
        return bounded

    async def pieces(self, request: Any) -> AsyncGenerator[WirePiece, None]:
        """Yields the pieces of a reply, and breaks off one that only repeats itself."""
        endless = EndlessReply()
        async with aclosing(self._model.pieces(request)) as reply:
            async for piece in reply:
                yield piece
                self._watch(piece)
                if endless.grew(piece):
                    yield Finish("length", endless=True)
                    return

    @property
    def plain(self) -> Any:
        """The answer as JSON holds it; None before it has come."""
        return self.form.plain(self.value) if self.is_there else None

    def verify(self, files: Mapping[str, Path]) -> None:
        """Looks up the quotes of all `Cited` values."""
        self.form.verify(self.value, files)

    def show(self, pieces: Sequence[str], emit: Callable[[Partial], None]) -> None:
        """Reports what there is of the answer, when that has grown."""
        partial = self.partial(pieces, sum(map(len, pieces)))
        if partial is not None:
            emit(partial)

    def partial(self, pieces: Sequence[str], size: int) -> Partial | None:
        """Returns the event for the text so far, when its value has grown.

        Args:
            pieces: of the reply's text.
            size: their characters.
        """
        if size < self._read:  # another reply
            self._read, self._shown = 0, None
        if size < self._read * _SHARE + 1:
            return None
        self._read = size
        value = self.form.partial("".join(pieces))
        if value is None or value == self._shown:
            return None
        self._shown = value
        return Partial(value)

    def settle(self, text: str, end: str = "", *, last: bool) -> str | None:
        """Takes the final text; returns the fault for the model, or None when it fits.

        Args:
            text: what the model wrote.
            end: the reason for which the reply ended.
            last: whether no further reply may be asked for.

        Raises:
            AnswerInvalid: it does not fit, and nothing is left to try.
        """
        from qwenbelt.agents.answers.typed import CUT_OFF, DoesNotFit

        try:
            if end not in WHOLE:
                self._cuts += 1
                raise DoesNotFit(CUT_OFF)
            self.value = self.form.read(text)
        except DoesNotFit as error:
            if last or self._repairs >= MAX_REPAIRS:
                raise AnswerInvalid(f"The answer does not fit its form ({error}).") from None
            self._repairs += 1
            self.repairing = True
            return str(error)
        self.is_there, self.repairing = True, False
        return None


def typed_answer(plan: RunConfig, emit: Callable[[Partial], None]) -> TypedAnswer | None:
    """Returns what a run knows of its typed answer; None for a run without."""
    form = plan.answer
    return TypedAnswer(form, plan.model, plan.language, emit) if form is not None else None


def not_made(call: ToolCall, typed: TypedAnswer | None, language: Language) -> CallOutcome:
    """Returns the outcome of a call that did not run: the reply was cut, or it was an answer."""
    fault = typed.fault_of(call) if typed is not None else ""
    return failed_outcome(ToolError(fault or CUT_OFF_CALL[language]))
