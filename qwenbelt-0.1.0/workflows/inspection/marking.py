"""Annotated copies: the boxes of what was found, in the colours of the rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qwenbelt.core.files import replacing
from qwenbelt.core.language import Language
from qwenbelt.tools.images.annotate import Box, draw_boxes
from qwenbelt.workflows.inspection.rules import Inspected, Rules

if TYPE_CHECKING:
    from PIL.Image import Image


def boxes_of(found: Inspected, rules: Rules, language: Language) -> list[Box]:
    """Returns the boxes to draw, labelled with class and grade."""
    boxes = []
    for entry in found.objects:
        grade = rules.grade(entry.label, entry.sub_label, language)
        label = rules.name(entry.label, language) + (f" · {grade}" if grade else "")
        boxes.append(Box(*entry.bbox, label, rules.classes[entry.label].color))
    return boxes


def save_annotated(
    picture: Image, found: Inspected, rules: Rules, language: Language, folder: Path
) -> Path:
    """Draws what was found on a copy of the picture, saves it in a folder, and returns its path."""
    path = folder / "annotated.jpg"
    with replacing(path) as temporary:
        draw_boxes(picture, boxes_of(found, rules, language)).save(temporary, "JPEG", quality=88)
    return path
