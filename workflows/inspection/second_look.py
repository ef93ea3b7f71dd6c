"""A second opinion: doubtful objects are enlarged and asked about again, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel

from qwenbelt.agents.runtime.code.call_many import call_all
from qwenbelt.core.errors import ToolError
from qwenbelt.core.language import Language
from qwenbelt.tools.base import Tool
from qwenbelt.tools.images.picture import enlarged_region, region_of
from qwenbelt.workflows.inspection.answers import InspectionAnswer
from qwenbelt.workflows.inspection.rules import UNSURE, Found

if TYPE_CHECKING:
    from PIL.Image import Image

_IN_FLIGHT = 4  # for one picture
_MARGIN = 0.6  # of the box, around it
_MIN_SIDE = 448  # pixels of the longer side of what is shown
_SECONDS = 600.0


class SecondLookModel(Protocol):
    """Who is asked."""

    language: Language

    async def ask(self, picture: Image) -> InspectionAnswer:
        """Returns the model's answer about a picture."""


class _LabelNumber(BaseModel):
    number: int


class _LookAgain(Tool):
    """Zooms in on one of the objects, by its number, and asks about it; gives its grade."""

    name = "look_again"
    description = "Asks again about an enlarged object of a picture."
    Arguments = _LabelNumber
    read_only = True
    timeout = _SECONDS

    def __init__(self, asker: SecondLookModel, picture: Image, objects: Sequence[Found]) -> None:
        super().__init__()
        self._asker, self._picture, self._objects = asker, picture, objects

    async def acall(self, arguments: Any, **kwargs: Any) -> str:
        found = self._objects[arguments.number]
        x1, y1, x2, y2 = found.bbox
        wide, high = (x2 - x1) * _MARGIN, (y2 - y1) * _MARGIN
        region = region_of((x1 - wide, y1 - high, x2 + wide, y2 + high), self._picture.size)
        longer = max(region[2] - region[0], region[3] - region[1])
        answer = await self._asker.ask(
            enlarged_region(self._picture, region, max(1.0, _MIN_SIDE / longer))
        )
        grades = {o.sub_label for o in answer.objects if o.label == found.label} - {UNSURE}
        if len(grades) != 1:
            raise ToolError("still not sure")
        return grades.pop()


async def second_look(
    asker: SecondLookModel, picture: Image, answer: InspectionAnswer
) -> InspectionAnswer:
    """Returns an answer, with its doubtful objects judged by a closer look.

    An object stays as it was when the second answer cannot be had, or is no clearer.
    """
    doubtful = [n for n, found in enumerate(answer.objects) if found.sub_label == UNSURE]
    objects = list(answer.objects)
    notes = list(answer.notes)
    outcomes = await call_all(
        _LookAgain(asker, picture, objects),
        [{"number": number} for number in doubtful],
        in_flight=_IN_FLIGHT,
        language=asker.language,
    )
    for number, outcome in zip(doubtful, outcomes, strict=True):
        found = objects[number]
        if outcome.ok:
            objects[number] = Found(found.bbox, found.label, outcome.text, found.reason)
            notes.append(f"object {number + 1}: {outcome.text!r} after a second look")
        else:
            notes.append(f"object {number + 1}: second look: {outcome.text}")
    return InspectionAnswer(tuple(objects), tuple(notes))
