"""Pictures that tools return, as a vision model gets them: in its own size."""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qwenbelt.agents.models.deltas import CallResult, JsonDict
from qwenbelt.agents.prompts import PICTURES_OF
from qwenbelt.core.language import Language
from qwenbelt.tools.images.picture_size import DASHSCOPE_MAX_PIXELS, family_of, smart_resize

MOST = 8  # pictures of one reply's results; the model gets only the names of the others
_PIXELS = 1280  # squares of the model's factor, which are its tokens
_FORMS = ("native", "nous")  # the others are for models that only read text
# families of which all models read pictures; others are asked by `known.vision`
_READS = re.compile(
    r"(^|[^a-z])(vl|vlm|omni|qvq|vision)([^a-z]|$)|llava|internvl|minicpm-[vo]|pixtral|gemma-?3"
    r"|gpt-4o|gpt-4\.1|gpt-5|gemini|claude|qwen-?3\.5|qwen-?4",
    re.IGNORECASE,
)
REFUSED = re.compile(r"image|picture|multi-?modal|vision|visual|media type|图", re.IGNORECASE)
UNABLE = re.compile(
    r"not (a |an )?(support|multi-?modal|vision|accept|able|allow)|unsupported|does ?n.t support"
    r"|no (image|vision|multi)|only (support |accept )?text|text.only|不支持",
    re.IGNORECASE,
)


def reads_pictures(model: str, known: bool | None) -> bool:
    """Returns whether a model gets pictures without an explicit setting."""
    return bool(_READS.search(model)) if known is None else known


@dataclass(frozen=True)
class PictureRule:
    """How pictures of tools go to a model.

    Attributes:
        factor: the side that the model's preprocessor cuts pictures to.
        max_pixels: as many as one may have.
        in_tool_message: whether they are parts of the tool's own message; else a message of the
            user follows, which every endpoint takes.
    """

    factor: int
    max_pixels: int
    in_tool_message: bool = False

    def place(
        self, messages: list[JsonDict], results: Sequence[CallResult], language: Language
    ) -> list[JsonDict]:
        """Returns the messages of results with their pictures."""
        shown: list[tuple[CallResult, JsonDict]] = []
        for result in results:
            for value in result.images:
                part = self._part(value) if len(shown) < MOST else None
                if part is not None:
                    shown.append((result, part))
        if not shown:
            return messages
        if self.in_tool_message and messages[-1]["role"] == "tool":
            return [self._own(message, shown) for message in messages]
        parts = [part for _, part in shown]
        if messages[-1]["role"] == "user":
            text = {"type": "text", "text": messages[-1]["content"]}
            return [*messages[:-1], {"role": "user", "content": [text, *parts]}]
        names = ", ".join(dict.fromkeys(result.name for result, _ in shown))
        text = {"type": "text", "text": PICTURES_OF[language].format(names=names)}
        return [*messages, {"role": "user", "content": [text, *parts]}]

    def _own(self, message: JsonDict, shown: Sequence[tuple[CallResult, JsonDict]]) -> JsonDict:
        parts = [part for result, part in shown if result.id == message.get("tool_call_id")]
        if not parts:
            return message
        return {**message, "content": [{"type": "text", "text": message["content"]}, *parts]}

    def _part(self, value: str) -> JsonDict | None:
        if value.startswith(("http://", "https://")):
            return {"type": "image_url", "image_url": {"url": value}}
        url = None
        with contextlib.suppress(OSError, ValueError):
            data = value.startswith("data:")
            changed = 0 if data else os.stat(value).st_mtime_ns
            url = _resized_picture(value, changed, self.factor, self.max_pixels)
        return {"type": "image_url", "image_url": {"url": url}} if url else None


def rule_for(model: str, *, dashscope: bool, in_tool_message: bool) -> PictureRule:
    """Returns the rule of a model."""
    factor = family_of(model).factor
    most = DASHSCOPE_MAX_PIXELS if dashscope else _PIXELS * factor**2
    return PictureRule(factor, most, in_tool_message)


def rule_of(model: object) -> PictureRule | None:
    """Returns how a model is sent pictures of tools; stock models have no such rule."""
    return getattr(model, "picture_rule", None)


def takes_pictures(form: str) -> bool:
    """Returns whether a codec's form has room for pictures."""
    return form in _FORMS


@functools.lru_cache(maxsize=32)
def _resized_picture(value: str, changed: int, factor: int, max_pixels: int) -> str | None:
    """Returns a picture as a data URL in the size that the model makes of it."""
    from PIL import Image

    if value.startswith("data:"):
        source: Any = io.BytesIO(base64.b64decode(value.partition(",")[2]))
    else:
        source = value
    with Image.open(source) as picture:
        size = smart_resize(picture.size, factor, max_pixels)
        kind = "PNG" if picture.format == "PNG" else "JPEG"
        mode = "RGBA" if kind == "PNG" and "A" in picture.getbands() else "RGB"
        picture.draft("RGB", size)
        sized = picture.convert(mode).resize(size)
    out = io.BytesIO()
    sized.save(out, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"


def images_of(content: Any) -> tuple[str, ...]:
    """Returns the pictures in a message's content, as paths or URLs."""
    found = []
    for item in content if isinstance(content, (list, tuple)) else ():
        fields = item if isinstance(item, dict) else item.model_dump()
        if isinstance(fields.get("image"), str):
            found.append(fields["image"])
    return tuple(found)
