"""Drawing boxes and labels that can be read on any background, Chinese included."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

PALETTE = ("#e6194b", "#0082c8", "#3cb44b", "#f58231", "#911eb4", "#008080", "#aa6e28", "#808000")


@dataclass(frozen=True)
class Box:
    """A box in pixels of the picture, from its top left corner, with a label and a colour."""

    x1: float
    y1: float
    x2: float
    y2: float
    label: str = ""
    color: str = ""


def draw_boxes(picture: Image, boxes: Sequence[Box]) -> Image:
    """Returns a copy of the picture with the boxes drawn on it; boxes outside are cut."""
    from PIL import ImageDraw

    out = picture.copy()
    draw = ImageDraw.Draw(out)
    # as large as print on a page that shows the picture at half its width
    size = max(12, round(min(out.size) / 26), round(max(out.size) / 45))
    width = max(2, round(size / 10))
    colors = {label: PALETTE[n % len(PALETTE)] for n, label in enumerate(_labels(boxes))}
    for box in boxes:
        corners = _inside(box, out.size)
        color = box.color or colors[box.label]
        draw.rectangle(corners, outline="white", width=width + 2)
        draw.rectangle(corners, outline=color, width=width)
        if box.label:
            font = _fitting(draw, box.label, size, out.width)
            _label(draw, corners, box.label, color, font, out.size)
    return out


def _labels(boxes: Sequence[Box]) -> list[str]:
    return list(dict.fromkeys(box.label for box in boxes))


def _inside(box: Box, size: tuple[int, int]) -> tuple[float, float, float, float]:
    xs = sorted(min(max(x, 0), size[0] - 1) for x in (box.x1, box.x2))
    ys = sorted(min(max(y, 0), size[1] - 1) for y in (box.y1, box.y2))
    return xs[0], ys[0], xs[1], ys[1]


def _fitting(draw: Any, text: str, size: int, width: int) -> Any:
    """Returns a font in which the text is not wider than the picture, down to 8 pixels."""
    font = _font(size)
    wide = draw.textlength(text, font=font)
    return font if wide <= 0.9 * width else _font(max(8, int(size * 0.9 * width / wide)))


@functools.lru_cache(maxsize=64)
def _font(size: int) -> Any:
    from PIL import ImageFont

    from qwenbelt.tools.plot.fonts import cjk_font

    found = cjk_font()
    if found is not None:
        return ImageFont.truetype(str(found.path), size)
    return ImageFont.load_default(size)


def _label(
    draw: Any,
    corners: tuple[float, float, float, float],
    text: str,
    color: str,
    font: Any,
    size: tuple[int, int],
) -> None:
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height, pad = right - left, bottom - top, 3
    x = min(corners[0], max(0, size[0] - width - 2 * pad))
    above = corners[1] - height - 2 * pad
    y = above if above >= 0 else min(corners[1], size[1] - height - 2 * pad)
    draw.rectangle((x, y, x + width + 2 * pad, y + height + 2 * pad), fill=color, outline="white")
    draw.text((x + pad - left, y + pad - top), text, font=font, fill=_readable_on(color))


def _readable_on(color: str) -> str:
    """Returns black or white, by the relative luminance of WCAG 2.2."""
    from PIL import ImageColor

    red, green, blue = ImageColor.getrgb(color)[:3]
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 140 else "white"
