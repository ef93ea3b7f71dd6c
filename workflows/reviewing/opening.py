"""Opens the review of what was inspected or labelled, from the files that it left."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import InputError, one_line
from qwenbelt.core.files import output_folder, replacing_file, write_text
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.language import Language
from qwenbelt.core.limits import input_file
from qwenbelt.workflows.inspection.coordinates import scaled_box
from qwenbelt.workflows.inspection.job import Inspection
from qwenbelt.workflows.inspection.marking import marked_copy
from qwenbelt.workflows.inspection.rules import Inspected, Rules, inspected_of
from qwenbelt.workflows.labelling.asking import labelled_of
from qwenbelt.workflows.labelling.export import KNOWN, read_final
from qwenbelt.workflows.reviewing.inspections import REVIEW, InspectionReview
from qwenbelt.workflows.reviewing.labels import LabelReview
from qwenbelt.workflows.reviewing.strings import counts_text, figures_text, say

Review = InspectionReview | LabelReview
RULES, FOUND = "rules.json", "found.json"


def keep_for_review(folder: Path, pictures: list[Inspected], rules: Rules) -> None:
    """Writes what a review of an inspection needs beside its pictures."""
    write_text(folder / RULES, rules.model_dump_json(indent=1))
    table = [picture.to_dict() for picture in pictures]
    write_text(folder / FOUND, json.dumps(table, ensure_ascii=False))


def reviewed_inspection(
    done: Inspection, rules: Rules, language: Language
) -> tuple[Inspection, str]:
    """Returns an inspection with what a person decided on it, and a sentence that says so.

    Corrected pictures are drawn anew, into `reviewed` in its folder; what the model said stays as
    it was. The sentence is "" where nobody has decided anything.
    """
    if not (done.folder / REVIEW).is_file():
        return done, ""
    review = InspectionReview(done.pictures, rules, done.folder)
    found, finished = review.agreement(), sum(map(review.is_done, range(len(review))))
    if not found.pairs:
        return done, ""
    decided = dict(zip((p.image for p in review.pictures), review.reviewed(), strict=True))
    pictures = []
    for picture in done.pictures:
        now = decided.get(picture.image, picture)
        changed = now.objects != picture.objects
        pictures.append(_drawn_anew(now, done.folder, rules, language) if changed else now)
    sentence = say(
        "checked",
        language,
        done=finished,
        pictures=len(review),
        counts=counts_text(found, language),
        figures=figures_text(found, language),
    )
    return replace(done, pictures=pictures), sentence


def _drawn_anew(picture: Inspected, folder: Path, rules: Rules, language: Language) -> Inspected:
    """Draws the boxes that a person left, or set, on the reduced copy."""
    from PIL import Image

    output_folder(folder / "reviewed")
    name = Path(picture.files["copy"]).name
    with Image.open(folder / picture.files["copy"]) as copy:
        scale = copy.width / max(1, picture.size[0])
        objects = tuple(replace(o, bbox=scaled_box(o.bbox, scale)) for o in picture.objects)
        marked = marked_copy(copy, replace(picture, objects=objects), rules, language)
    files = dict(picture.files)
    for kind, side in (("shown", 1100), ("thumbnail", 360)):
        files[kind] = f"reviewed/{kind}-{name}"
        marked.thumbnail((side, side))
        with replacing_file(folder / files[kind]) as file:
            marked.save(file, "JPEG", quality=88)
    files["annotated"] = files["shown"]
    return replace(picture, files=files)


def open_review(target: str | Path) -> Review:
    """Returns the review of a folder of labels, or of an inspection by its report or folder.

    Args:
        target: DIR of `qwenbelt label`; or REPORT.pdf of `qwenbelt inspect`, or its REPORT_files.

    Raises:
        InputError: there is nothing to review.
    """
    place = Path(target).expanduser()
    if (place / "labels.jsonl").is_file():
        return _label_review(place)
    folder = place if place.is_dir() else place.with_name(f"{place.stem}_files")
    if not (folder / FOUND).is_file():
        raise InputError(
            f"{target}: neither an inspection nor a folder of labels.",
            fix="Run qwenbelt inspect or qwenbelt label first; then give the report or the folder.",
        )
    try:
        rules = Rules.model_validate_json(input_file(folder / RULES).read_text(encoding="utf-8"))
        table: Any = loads_bounded((folder / FOUND).read_text(encoding="utf-8"))
        return InspectionReview([inspected_of(entry) for entry in table], rules, folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder}: its record cannot be read ({one_line(error)}).") from error


def _label_review(folder: Path) -> LabelReview:
    try:
        lines = (folder / "labels.jsonl").read_text(encoding="utf-8").splitlines()
        pictures = [labelled_of(loads_bounded(line)) for line in lines]
        known: Any = loads_bounded((folder / KNOWN).read_text(encoding="utf-8"))
        labels, multiple = list(known["labels"]), bool(known["multiple"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder}: its record cannot be read ({one_line(error)}).") from error
    return LabelReview(pictures, labels, multiple, folder, read_final(folder, labels))
