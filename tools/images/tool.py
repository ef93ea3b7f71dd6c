"""The tools `image_annotate`, `image_zoom` and `ocr`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, field_validator
from qwen_agent.llm.schema import ContentItem

from qwenbelt.core.errors import InputError, ToolError
from qwenbelt.tools.base import Tool, ToolContext, ToolResult
from qwenbelt.tools.images.annotate import PictureBox, draw_boxes
from qwenbelt.tools.images.picture import (
    enlarged_region,
    named_picture,
    open_picture,
    output_path,
    region_of,
    save_picture,
)
from qwenbelt.tools.images.reading import TextLine, page_picture, read_text
from qwenbelt.tools.images.strings import ANNOTATE, OCR, ZOOM, say

MAX_BOXES = 200


class _PictureTool(Tool):
    """What the picture tools share: finding the picture that the model names."""

    contained = True

    def _named(self, name: str, kwargs: dict[str, Any]) -> tuple[Path, ToolContext]:
        context = kwargs.get("context") or ToolContext()
        allowed = [str(v) for v in [*(kwargs.get("files") or ()), *self.cfg.get("files", ())]]
        if "context" not in kwargs and "messages" not in kwargs:
            allowed.append(name)  # called by a person, not by a model
        return named_picture(name, context, allowed), context

    def _open(self, name: str, kwargs: dict[str, Any]) -> tuple[Path, Any, ToolContext]:
        path, context = self._named(name, kwargs)
        try:
            return path, open_picture(path), context
        except InputError as error:
            raise ToolError(str(error)) from error

    @property
    def file_access(self) -> bool:
        """Stock agents hand over the conversation's files."""
        return True


class LabelledBox(BaseModel):
    """A box to draw."""

    bbox: list[float] = Field(
        min_length=4, max_length=4, description="x1, y1, x2, y2 in pixels from the top left"
    )
    label: str = Field("", max_length=200)
    color: str = Field("", pattern=r"^(#[0-9a-fA-F]{6}|[a-z]*)$", description="name or #rrggbb")

    def box(self) -> PictureBox:
        """Returns the box to draw."""
        x1, y1, x2, y2 = self.bbox
        return PictureBox(x1, y1, x2, y2, self.label, self.color)

    @field_validator("color")
    @classmethod
    def _known(cls, value: str) -> str:
        from PIL import ImageColor

        if value:
            ImageColor.getrgb(value)
        return value


class ImageAnnotate(_PictureTool):
    """Draws boxes with labels on a copy of a picture."""

    name = "image_annotate"
    description = ANNOTATE

    class Arguments(BaseModel):
        """The picture and what to draw."""

        image: str = Field(description="the picture's name")
        boxes: list[LabelledBox] = Field(max_length=MAX_BOXES)

    def call(self, params: Any, **kwargs: Any) -> ToolResult:
        """Returns the annotated copy; the original stays as it is."""
        arguments = self.parse(params)
        path, picture, context = self._open(arguments.image, kwargs)
        boxes = [b.box() for b in arguments.boxes]
        target = output_path(context, f"{path.stem}-annotated")
        save_picture(draw_boxes(picture, boxes), target)
        width, height = picture.size
        note = f"{len(boxes)} boxes drawn on {path.name} ({width}x{height}): {target.name}"
        return [ContentItem(text=note), ContentItem(image=str(target))]


class ImageZoom(_PictureTool):
    """Cuts a region out of a picture and enlarges it."""

    name = "image_zoom"
    description = ZOOM

    class Arguments(BaseModel):
        """The picture and the region."""

        image: str = Field(description="the picture's name")
        bbox: list[float] = Field(
            min_length=4, max_length=4, description="x1, y1, x2, y2 in pixels from the top left"
        )
        scale: float = Field(2.0, ge=0.1, le=8.0)

    def call(self, params: Any, **kwargs: Any) -> ToolResult:
        """Returns the region as a picture."""
        arguments = self.parse(params)
        path, picture, context = self._open(arguments.image, kwargs)
        region = region_of(arguments.bbox, picture.size)
        target = output_path(context, f"{path.stem}-zoom")
        save_picture(enlarged_region(picture, region, arguments.scale), target)
        return [
            ContentItem(text=f"{path.name} {region}: {target.name}"),
            ContentItem(image=str(target)),
        ]


class Ocr(_PictureTool):
    """Reads the text in a picture, with the place of each line."""

    name = "ocr"
    description = OCR
    read_only = True
    idempotent = True
    timeout = 120.0
    weight = 4  # it computes on all cores

    class Arguments(BaseModel):
        """The picture, and optionally a region of it."""

        image: str = Field(description="the name of the picture or PDF file")
        page: int = Field(1, ge=1, description="which page of a PDF file")
        bbox: list[float] | None = Field(
            None,
            min_length=4,
            max_length=4,
            description="read only this region: pixels of the picture, points of the page",
        )

    def call(self, params: Any, **kwargs: Any) -> ToolResult:
        """Returns one line of text a line of the picture: box, confidence, text."""
        arguments = self.parse(params)
        path, context = self._named(arguments.image, kwargs)
        try:
            if path.suffix.lower() == ".pdf":
                picture, scale = page_picture(path, arguments.page)
            else:
                picture, scale = open_picture(path), 1.0
        except InputError as error:
            raise ToolError(str(error)) from error
        left, top = 0, 0
        if arguments.bbox:
            region = region_of([value * scale for value in arguments.bbox], picture.size)
            left, top = region[:2]
            picture = picture.crop(region)
        lines = read_text(picture)
        if not lines:
            return say("no_text", context.language)
        return "\n".join(_text_line(line, left, top, scale) for line in lines)


def _text_line(line: TextLine, left: int, top: int, scale: float) -> str:
    sides = (line.x1 + left, line.y1 + top, line.x2 + left, line.y2 + top)
    box = ", ".join(f"{side / scale:.0f}" for side in sides)
    return f"[{box}] {line.confidence:.2f} {line.text}"
