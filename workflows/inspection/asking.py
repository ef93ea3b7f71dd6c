"""Asking a vision model about one picture."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwenbelt.agents import Budget, FnCallAgent
from qwenbelt.core.errors import EndpointError, InputError
from qwenbelt.core.events import Done
from qwenbelt.core.language import Language
from qwenbelt.tools.images.picture_size import (
    DASHSCOPE_MAX_PIXELS,
    Convention,
    Size,
    family_of,
    smart_resize,
)
from qwenbelt.workflows.inspection.answers import InspectionAnswer, read_answer
from qwenbelt.workflows.inspection.rules import Rules
from qwenbelt.workflows.inspection.second_look import second_look
from qwenbelt.workflows.inspection.sources import as_jpeg
from qwenbelt.workflows.inspection.strings import inspection_prompt

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Sent:
    """A picture as it is sent: JPEG data and its size."""

    url: str
    size: Size


class Inspector:
    """Asks one model under one set of rules; may be used for many pictures at once.

    Args:
        llm: an llm dict or endpoint spec of a model that sees pictures.
        convention: what the numbers of its boxes mean; by the model's family when None.
        second_look: ask again about enlarged regions of doubtful objects; see `second_look`.
    """

    def __init__(
        self,
        llm: Any,
        rules: Rules,
        *,
        language: Language = "en",
        convention: Convention | None = None,
        second_look: bool = False,
    ) -> None:
        self.rules = rules
        self.language: Language = language
        self.second_look = second_look
        self._agent = FnCallAgent(llm=llm, budget=Budget(model_calls=1))
        self.model = str(self._agent.llm.model)
        self._family = family_of(self.model)
        self.convention: Convention = convention or self._family.convention
        dialect = str(getattr(self._agent.llm, "cfg", {}).get("dialect") or "")
        self._max_pixels = DASHSCOPE_MAX_PIXELS if dialect == "dashscope" else None

    async def look(self, picture: Image) -> InspectionAnswer:
        """Returns the objects in a picture, in its own pixels.

        Raises:
            InputError: the picture cannot be sent, or the answer cannot be read.
            EndpointError: the endpoint failed.
        """
        answer = await self.ask(picture)
        return await second_look(self, picture, answer) if self.second_look else answer

    async def ask(self, picture: Image) -> InspectionAnswer:
        """Returns the model's answer about a picture, without a second look; raises like `look`."""
        sent = await asyncio.to_thread(self._prepare, picture)
        content = [{"image": sent.url}, {"text": inspection_prompt(self.rules, self.language)}]
        messages = [{"role": "user", "content": content}]
        text = ""
        async for event in self._agent.stream(messages, lang=self.language):
            if isinstance(event, Done):
                text = event.text
                if event.reason == "error":
                    raise EndpointError(event.detail)
        return read_answer(text, self.rules, self.convention, sent.size, picture.size)

    def _prepare(self, picture: Image) -> Sent:
        try:
            size = smart_resize(picture.size, self._family.factor, max_pixels=self._max_pixels)
        except ValueError as error:
            raise InputError(str(error)) from error
        resized = picture if size == picture.size else picture.resize(size)
        data = base64.b64encode(as_jpeg(resized)).decode("ascii")
        return Sent(f"data:image/jpeg;base64,{data}", size)
