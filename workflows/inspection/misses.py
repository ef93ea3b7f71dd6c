"""Pictures of misses and false alarms, for the report of an evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qwenbelt.core.files import output_folder, replacing_file
from qwenbelt.core.language import Language
from qwenbelt.tools.images.annotate import PictureBox, draw_boxes
from qwenbelt.workflows.inspection.evaluation import Evaluation
from qwenbelt.workflows.inspection.job import Inspection
from qwenbelt.workflows.inspection.rules import Found, Inspected, Rules
from qwenbelt.workflows.inspection.strings import say

MISSED, WRONG = "#c2188b", "#f58231"


@dataclass(frozen=True)
class Miss:
    """A picture with misses or wrong findings.

    Attributes:
        file: the marked picture, below the inspection's folder.
        text: what was missed and what was wrong, in words.
    """

    image: str
    file: str
    text: str


def draw_misses(
    inspection: Inspection, evaluation: Evaluation, rules: Rules, language: Language
) -> list[Miss]:
    """Draws the misses and the wrong findings of each picture on a copy of it."""
    drawn = []
    for picture in inspection.pictures:
        missed = evaluation.misses.get(picture.image, ())
        wrong = evaluation.wrong.get(picture.image, ())
        if not (missed or wrong) or "copy" not in picture.files:
            continue
        parts = [
            _words(say(name, language), objects, rules, language)
            for name, objects in (("missed", missed), ("wrong", wrong))
            if objects
        ]
        boxes = _boxes(picture, missed, wrong, rules, language)
        file = f"misses/{Path(picture.files['copy']).name}"
        _draw(inspection.folder, picture.files["copy"], file, boxes, picture)
        drawn.append(Miss(picture.image, file, "; ".join(parts)))
    return drawn


def _words(what: str, objects: Sequence[Found], rules: Rules, language: Language) -> str:
    counts = Counter(rules.name(found.label, language) for found in objects)
    return f"{what}: " + ", ".join(f"{name} x {count}" for name, count in sorted(counts.items()))


def _boxes(
    picture: Inspected,
    missed: Sequence[Found],
    wrong: Sequence[Found],
    rules: Rules,
    language: Language,
) -> list[PictureBox]:
    kinds = [(found, say("missed", language), MISSED) for found in missed]
    kinds += [(found, say("wrong", language), WRONG) for found in wrong]
    return [
        PictureBox(*found.bbox, f"{what} · {rules.name(found.label, language)}", color)
        for found, what, color in kinds
    ]


def _draw(
    folder: Path, copy: str, file: str, boxes: Sequence[PictureBox], picture: Inspected
) -> None:
    from PIL import Image

    output_folder(folder / "misses")
    with Image.open(folder / copy) as opened:
        scale = opened.width / picture.size[0]
        scaled = [
            PictureBox(b.x1 * scale, b.y1 * scale, b.x2 * scale, b.y2 * scale, b.label, b.color)
            for b in boxes
        ]
        with replacing_file(folder / file) as out:
            draw_boxes(opened, scaled).save(out, "JPEG", quality=88)
