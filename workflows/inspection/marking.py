"""Annotated copies and crops: what was found is red for an alarm, amber for a warning, else green.

The colours of the rules tell classes apart where they stand beside each other, in tables.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qwenbelt.core.files import output_folder, replacing_file
from qwenbelt.core.language import Language
from qwenbelt.tools.images.annotate import PictureBox, draw_boxes
from qwenbelt.workflows.inspection.rules import Found, Inspected, Rules, Severity

if TYPE_CHECKING:
    from PIL.Image import Image

SEVERITY_COLORS: dict[Severity, str] = {
    "alarm": "#c62828",
    "warning": "#e08a00",
    "fine": "#2e7d32",
}
CROP_SIDE = 360  # pixels
_CROP_MARGIN = 0.35  # of the box's longer side, on each side
_LEGIBLE_SIDE = 480  # pixels of the longer side below which labels would hide the picture


def boxes_of(found: Inspected, rules: Rules, language: Language) -> list[PictureBox]:
    """Returns the boxes to draw, labelled with class and grade."""
    boxes = []
    for entry in sorted(found.objects, key=rules.worst_first, reverse=True):  # the worst on top
        grade = rules.grade(entry.label, entry.sub_label, language)
        label = rules.name(entry.label, language) + (f" · {grade}" if grade else "")
        boxes.append(PictureBox(*entry.bbox, label, SEVERITY_COLORS[rules.severity(entry)]))
    return boxes


def marked_copy(picture: Image, found: Inspected, rules: Rules, language: Language) -> Image:
    """Returns a copy with what was found drawn on it; a small picture is enlarged for that."""
    scale = max(1, math.ceil(_LEGIBLE_SIDE / max(picture.size)))
    size = (picture.width * scale, picture.height * scale)
    boxes = boxes_of(found, rules, language)
    larger = [
        replace(b, x1=b.x1 * scale, y1=b.y1 * scale, x2=b.x2 * scale, y2=b.y2 * scale)
        for b in boxes
    ]
    return draw_boxes(picture if scale == 1 else picture.resize(size), larger)


def crop_name(found: Inspected, entry: Found) -> str:
    """Returns where the crop of an object is kept, in the folder of the inspection."""
    stem = Path(found.files.get("copy", "picture.jpg")).stem
    return f"crops/{stem}-{'-'.join(f'{value:.0f}' for value in entry.bbox)}.jpg"


def crop_of(picture: Image, entry: Found, rules: Rules, scale: float = 1.0) -> Image:
    """Returns the part of a picture around an object, with a thin box in its severity's colour.

    Args:
        picture: the picture, or a smaller copy of it.
        entry: the object, in pixels of the original.
        rules: say how bad it is.
        scale: how many pixels of the picture are one of the original.
    """
    from PIL import Image as Pillow
    from PIL import ImageDraw

    x1, y1, x2, y2 = (value * scale for value in entry.bbox)
    margin = max(12.0, _CROP_MARGIN * max(x2 - x1, y2 - y1))
    left, top = max(0.0, x1 - margin), max(0.0, y1 - margin)
    right, bottom = min(picture.width, x2 + margin), min(picture.height, y2 + margin)
    crop = picture.crop(tuple(map(round, (left, top, right, bottom))))  # type: ignore[arg-type]
    zoom = CROP_SIDE / max(1, *crop.size)
    size = (max(1, round(crop.width * zoom)), max(1, round(crop.height * zoom)))
    crop = crop.resize(size, Pillow.Resampling.LANCZOS).convert("RGB")
    pen = ImageDraw.Draw(crop)
    corners = ((x1 - left) * zoom, (y1 - top) * zoom, (x2 - left) * zoom, (y2 - top) * zoom)
    pen.rectangle(corners, outline="white", width=5)
    pen.rectangle(corners, outline=SEVERITY_COLORS[rules.severity(entry)], width=3)
    return crop


def save_crop(
    picture: Image, found: Inspected, entry: Found, rules: Rules, folder: Path, scale: float = 1.0
) -> None:
    """Keeps the crop of an object where `crop_name` says."""
    output_folder(folder / "crops")
    with replacing_file(folder / crop_name(found, entry)) as file:
        crop_of(picture, entry, rules, scale).save(file, "JPEG", quality=85)


def save_annotated(
    picture: Image, found: Inspected, rules: Rules, language: Language, folder: Path
) -> Path:
    """Draws what was found on a copy of the picture, saves it in a folder, and returns its path."""
    path = folder / "annotated.jpg"
    with replacing_file(path) as file:
        marked_copy(picture, found, rules, language).save(file, "JPEG", quality=88)
    return path
