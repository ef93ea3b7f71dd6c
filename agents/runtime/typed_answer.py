"""The typed answer of a run: asked for, shown while it arrives, checked, repaired."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.models.dialects import structured_fields
from qwenbelt.core.errors import AnswerInvalid
from qwenbelt.core.events import Partial

if TYPE_CHECKING:
    from qwenbelt.agents.answers.typed import AnswerForm

_SHARE = 1.05  # a partial value is read again when its text has grown by so much


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
        return structured_fields(self.structured, self.form.schema)

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

    def settle(self, text: str, *, last: bool) -> str | None:
        """Takes the final text; returns the fault to tell the model, or None when it fits.

        Raises:
            AnswerInvalid: it does not fit, and nothing is left to try.
        """
        from qwenbelt.agents.answers.typed import MAX_REPAIRS, DoesNotFit

        try:
            self.value = self.form.read(text)
        except DoesNotFit as error:
            if last or self._repairs >= MAX_REPAIRS:
                raise AnswerInvalid(f"The answer does not fit its form ({error}).") from None
            self._repairs += 1
            self.repairing = True
            return str(error)
        self.is_there, self.repairing = True, False
        return None
