"""Annotated copies: the boxes of what was found, in the colours of the rules."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qwenbelt.core.files import replacing_file
from qwenbelt.core.language import Language
from qwenbelt.tools.images.annotate import PictureBox, draw_boxes
from qwenbelt.workflows.inspection.rules import Inspected, Rules

if TYPE_CHECKING:
    from PIL.Image import Image

_LEGIBLE_SIDE = 480  # pixels of the longer side below which labels would hide the picture


def boxes_of(found: Inspected, rules: Rules, language: Language) -> list[PictureBox]:
    """Returns the boxes to draw, labelled with class and grade."""
    boxes = []
    for entry in found.objects:
        grade = rules.grade(entry.label, entry.sub_label, language)
        label = rules.name(entry.label, language) + (f" · {grade}" if grade else "")
        boxes.append(PictureBox(*entry.bbox, label, rules.classes[entry.label].color))
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


def save_annotated(
    picture: Image, found: Inspected, rules: Rules, language: Language, folder: Path
) -> Path:
    """Draws what was found on a copy of the picture, saves it in a folder, and returns its path."""
    path = folder / "annotated.jpg"
    with replacing_file(path) as file:
        marked_copy(picture, found, rules, language).save(file, "JPEG", quality=88)
    return path
