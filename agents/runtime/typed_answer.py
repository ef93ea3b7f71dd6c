"""The typed answer of a run: asked for, shown while it arrives, checked, repaired."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.models.constrained import repeats_itself
from qwenbelt.agents.models.deltas import Finish, Text, WirePiece
from qwenbelt.agents.models.dialects import structured_fields
from qwenbelt.agents.runtime.reply_ends import WHOLE
from qwenbelt.core.errors import AnswerInvalid
from qwenbelt.core.events import Partial

if TYPE_CHECKING:
    from qwenbelt.agents.answers.typed import AnswerForm

WHOLE_OR_CUT = (*WHOLE, "length")
_SHARE = 1.05  # a partial value is read again when its text has grown by so much
_LOOK_EVERY = 400  # characters
_REPETITION = 1000  # characters that are the same few words over and over: no end will come
_GRAMMARS = ("llamacpp", "ollama", "vllm", "sglang", "local")  # they keep to maxLength, maxItems


class TypedAnswer:
    """What a run knows of its typed answer.

    Args:
        form: what the answer must fit.
        model: the run's model; one that constrains replies is made to.

    Attributes:
        value: the checked answer.
        is_there: whether it has come.
        repairing: whether the next reply corrects an answer that did not fit.
    """

    def __init__(self, form: AnswerForm, model: Any) -> None:
        self.form = form
        self.value: Any = None
        self.is_there = False
        self.repairing = False
        self._model = model
        self._repairs = 0
        self._cuts = 0
        self._read = 0
        self._shown: Any = None

    @property
    def structured(self) -> str:
        """The body field with which the endpoint constrains replies; "" for none."""
        known = getattr(self._model, "known", None)
        dialect = getattr(self._model, "dialect", None)
        field = getattr(known, "structured", None) or getattr(dialect, "structured", "")
        return "" if field in getattr(known, "refused", ()) else str(field)

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
        """Yields the pieces of a reply, and cuts off one that repeats itself endlessly."""
        text, looked = "", 0
        async with aclosing(self._model.pieces(request)) as reply:
            async for piece in reply:
                yield piece
                if isinstance(piece, Text):
                    text = (text + piece.text)[-2 * _REPETITION :]
                    looked += len(piece.text)
                if looked >= _LOOK_EVERY:
                    looked = 0
                    if repeats_itself(text, _REPETITION):
                        yield Finish("length")
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
        from qwenbelt.agents.answers.typed import CUT_OFF, MAX_REPAIRS, DoesNotFit

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
