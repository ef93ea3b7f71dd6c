"""The results of an inspection as PDF, HTML, JSON, CSV and a contact sheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qwenbelt.core.cells import harmless_cell
from qwenbelt.core.files import replacing_file, write_bytes, write_text
from qwenbelt.core.language import Language
from qwenbelt.tools.images.annotate import label_font
from qwenbelt.workflows.inspection.evaluation import Evaluation
from qwenbelt.workflows.inspection.job import Inspection
from qwenbelt.workflows.inspection.misses import draw_misses
from qwenbelt.workflows.inspection.page import inspection_page
from qwenbelt.workflows.inspection.rules import Inspected, Rules
from qwenbelt.workflows.inspection.setting import set_volumes
from qwenbelt.workflows.inspection.views import report_data, short_name

_CELL, _GAP, _CAPTION, _FONT = 200, 8, 20, 13  # pixels of a contact sheet
_COLUMNS, _ON_A_SHEET = 6, 120


def write_json(path: Path, pictures: Sequence[Inspected]) -> None:
    """Writes one object a picture."""
    table = [picture.to_dict() for picture in pictures]
    write_text(path, json.dumps(table, ensure_ascii=False, indent=1) + "\n")


def write_csv(path: Path, pictures: Sequence[Inspected]) -> None:
    """Writes one row an object, and one for a picture without any."""
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["image", "ok", "error", "label", "sub_label", "x1", "y1", "x2", "y2"])
    for picture in pictures:
        head = [harmless_cell(picture.image), picture.ok, picture.error]
        for found in picture.objects or [None]:
            tail = ["", "", "", "", "", ""]
            if found is not None:
                tail = [found.label, found.sub_label, *(f"{v:.1f}" for v in found.bbox)]
            rows.writerow([*head, *tail])
    write_bytes(path, b"\xef\xbb\xbf" + out.getvalue().encode("utf-8"))  # Excel reads it so


def write_contact_sheets(path: Path, inspection: Inspection) -> None:
    """Writes all pictures as named thumbnails; red names were not inspected.

    The second sheet of a long inspection has `-2` in its name, and so on: a JPEG file has no more
    than 65535 pixels a side.
    """
    shown = [p for p in inspection.pictures if p.files.get("thumbnail")]
    for number, start in enumerate(range(0, len(shown), _ON_A_SHEET), 1):
        name = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        _contact_sheet(name, inspection.folder, shown[start : start + _ON_A_SHEET])


def _contact_sheet(path: Path, folder: Path, shown: Sequence[Inspected]) -> None:
    from PIL import Image, ImageDraw

    across, down = _CELL + _GAP, _CELL + _CAPTION + _GAP
    rows = (len(shown) + _COLUMNS - 1) // _COLUMNS
    sheet = Image.new("RGB", (_COLUMNS * across + _GAP, rows * down + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for number, picture in enumerate(shown):
        left, top = _GAP + number % _COLUMNS * across, _GAP + number // _COLUMNS * down
        with Image.open(folder / picture.files["thumbnail"]) as opened:
            opened.thumbnail((_CELL, _CELL))
            place = (left + (_CELL - opened.width) // 2, top + (_CELL - opened.height) // 2)
            sheet.paste(opened, place)
        color = "#1f2530" if picture.ok else "#b3261e"
        caption = _fitting_name(pen, short_name(picture.image))
        pen.text((left, top + _CELL + 2), caption, fill=color, font=label_font(_FONT))
    with replacing_file(path) as file:
        sheet.save(file, "JPEG", quality=85)


def _fitting_name(pen: Any, name: str) -> str:
    """Returns a name cut in its middle so that it is not wider than a cell."""
    shown, kept = name, len(name)
    while pen.textlength(shown, font=label_font(_FONT)) > _CELL and kept > 2:
        kept -= 1
        shown = f"{name[: (kept + 1) // 2]}…{name[-(kept // 2) :]}"
    return shown


def write_pdf(
    path: Path,
    inspection: Inspection,
    rules: Rules,
    language: Language,
    evaluation: Evaluation | None = None,
    *,
    checked: str = "",
) -> list[Path]:
    """Writes the report; returns its volumes.

    Args:
        path: the first volume.
        inspection: what was found.
        rules: names, words and severities.
        language: of the report.
        evaluation: scores against ground truth.
        checked: what a person's review said, one sentence; "" without one.

    Raises:
        QwenbeltError: typesetting failed; the message is one line.
    """
    missed = draw_misses(inspection, evaluation, rules, language) if evaluation else []
    data = report_data(inspection, rules, language, evaluation, checked)
    data["misses"] = [
        {"name": short_name(miss.image), "picture": miss.file, "text": miss.text} for miss in missed
    ]
    return set_volumes(path, inspection.folder, data)


def write_html(
    path: Path,
    inspection: Inspection,
    rules: Rules,
    language: Language,
    evaluation: Evaluation | None = None,
    *,
    checked: str = "",
) -> None:
    """Writes the report as one HTML page with filters; nothing in it runs or is fetched."""
    data = report_data(inspection, rules, language, evaluation, checked)
    write_text(path, inspection_page(data, rules, inspection.folder))
