"""Drawing boxes and labels that can be read on any background, Chinese included."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

PALETTE = ("#e6194b", "#0082c8", "#3cb44b", "#f58231", "#911eb4", "#008080", "#aa6e28", "#808000")

Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class PictureBox:
    """A box in pixels of the picture, from its top left corner, with a label and a colour."""

    x1: float
    y1: float
    x2: float
    y2: float
    label: str = ""
    color: str = ""


def draw_boxes(picture: Image, boxes: Sequence[PictureBox]) -> Image:
    """Returns a copy of the picture with the boxes drawn on it; boxes outside are cut."""
    from PIL import ImageDraw

    out = picture.copy()
    draw = ImageDraw.Draw(out)
    # as large as print on a page that shows the picture at half its width
    size = max(12, round(min(out.size) / 26), round(max(out.size) / 45))
    width = max(2, round(size / 10))
    palette = {label: PALETTE[n % len(PALETTE)] for n, label in enumerate(_box_labels(boxes))}
    colors = [box.color or palette[box.label] for box in boxes]
    for box, color in zip(boxes, colors, strict=True):
        corners = _clipped_box(box, out.size)
        draw.rectangle(corners, outline="white", width=width + 2)
        draw.rectangle(corners, outline=color, width=width)
    taken: list[Corners] = []
    for box, color in zip(boxes, colors, strict=True):  # labels are drawn over all boxes
        if box.label:
            font = _fitting_font(draw, box.label, size, out.width)
            _draw_label(draw, _clipped_box(box, out.size), box.label, color, font, out.size, taken)
    return out


def _box_labels(boxes: Sequence[PictureBox]) -> list[str]:
    return list(dict.fromkeys(box.label for box in boxes))


def _clipped_box(box: PictureBox, size: tuple[int, int]) -> Corners:
    xs = sorted(min(max(x, 0), size[0] - 1) for x in (box.x1, box.x2))
    ys = sorted(min(max(y, 0), size[1] - 1) for y in (box.y1, box.y2))
    return xs[0], ys[0], xs[1], ys[1]


def _fitting_font(draw: Any, text: str, size: int, width: int) -> Any:
    """Returns a font in which the text is not wider than the picture, down to 8 pixels."""
    font = label_font(size)
    wide = draw.textlength(text, font=font)
    return font if wide <= 0.9 * width else label_font(max(8, int(size * 0.9 * width / wide)))


@functools.lru_cache(maxsize=64)
def label_font(size: int) -> Any:
    """Returns a font for text on pictures, Chinese included."""
    from PIL import ImageFont

    from qwenbelt.tools.plot.fonts import cjk_font

    found = cjk_font()
    if found is not None:
        return ImageFont.truetype(str(found.path), size)
    return ImageFont.load_default(size)


def _draw_label(
    draw: Any,
    corners: Corners,
    text: str,
    color: str,
    font: Any,
    size: tuple[int, int],
    taken: list[Corners],
) -> None:
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    pad = max(3, round((bottom - top) / 5))
    place = _free_place(corners, right - left + 2 * pad, bottom - top + 2 * pad, size, taken)
    taken.append(place)
    draw.rectangle(place, fill=color, outline="white")
    draw.text(
        (place[0] + pad - left, place[1] + pad - top), text, font=font, fill=_contrasting_ink(color)
    )


def _free_place(
    corners: Corners, width: float, height: float, size: tuple[int, int], taken: Sequence[Corners]
) -> Corners:
    """Returns where a label covers no other one: above its box, in it, below it, or further down.

    Where all is full it goes above the box, or in it at the picture's upper edge.
    """
    x = min(corners[0], max(0, size[0] - width))
    above = corners[1] - height
    rows = [above, corners[1], corners[3], corners[3] - height]
    rows += [corners[1] + n * height for n in range(1, int(size[1] / height) + 1)]
    places = [(x, y, x + width, y + height) for y in rows if 0 <= y <= size[1] - height]
    free = (p for p in places if not any(_boxes_touch(p, other) for other in taken))
    y = max(0.0, min(corners[1], size[1] - height))
    return next(free, places[0] if places else (x, y, x + width, y + height))


def _boxes_touch(a: Corners, b: Corners) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _contrasting_ink(color: str) -> str:
    """Returns black or white, by the relative luminance of WCAG 2.2."""
    from PIL import ImageColor

    red, green, blue = ImageColor.getrgb(color)[:3]
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 140 else "white"
