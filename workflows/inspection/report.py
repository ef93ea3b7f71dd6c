"""The results of an inspection as PDF, JSON, CSV and a contact sheet."""

from __future__ import annotations

import collections
import csv
import datetime
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qwenbelt.core.files import replacing_file, write_bytes, write_text
from qwenbelt.core.language import Language
from qwenbelt.core.translation import in_language
from qwenbelt.tools.images.annotate import label_font
from qwenbelt.workflows.inspection.evaluation import ClassScore, Evaluation
from qwenbelt.workflows.inspection.events import video_events
from qwenbelt.workflows.inspection.job import Inspection
from qwenbelt.workflows.inspection.misses import draw_misses
from qwenbelt.workflows.inspection.rules import Found, Inspected, Rules
from qwenbelt.workflows.inspection.setting import set_volumes
from qwenbelt.workflows.inspection.strings import place_in_picture, say

_CELL, _GAP, _CAPTION, _FONT = 200, 8, 20, 13  # pixels of a contact sheet
_COLUMNS, _ON_A_SHEET = 6, 120
_EVENT_HEAD = {
    "en": ["Event", "Grade", "From - to", "Most"],
    "zh": ["事件", "等级", "起止", "最多"],
}
_SCORE_HEAD = {
    "en": ["Class", "Right", "Wrong", "Missed", "Precision", "Recall"],
    "zh": ["类别", "正确", "误报", "漏检", "精确率", "召回率"],
}


def has_findings(picture: Inspected, rules: Rules) -> bool:
    """Returns whether a picture shows something that the rules count as a finding."""
    return any(rules.classes[o.label].is_alarm(o.sub_label) for o in picture.objects)


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
        head = [_harmless(picture.image), picture.ok, picture.error]
        for found in picture.objects or [None]:
            tail = ["", "", "", "", "", ""]
            if found is not None:
                tail = [found.label, found.sub_label, *(f"{v:.1f}" for v in found.bbox)]
            rows.writerow([*head, *tail])
    write_bytes(path, b"\xef\xbb\xbf" + out.getvalue().encode("utf-8"))  # Excel reads it so


def _harmless(cell: str) -> str:
    """Returns a cell that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@") else cell


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
        caption = _fitting_name(pen, _short(picture.image))
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
) -> list[Path]:
    """Writes the report; returns its volumes.

    Raises:
        QwenbeltError: typesetting failed; the message is one line.
    """
    missed = draw_misses(inspection, evaluation, rules, language) if evaluation else []
    data = _data(inspection, rules, language, evaluation)
    data["misses"] = [
        {"name": _short(miss.image), "picture": f"/{miss.file}", "text": miss.text}
        for miss in missed
    ]
    return set_volumes(path, inspection.folder, data)


def _data(
    inspection: Inspection, rules: Rules, language: Language, evaluation: Evaluation | None
) -> dict[str, Any]:
    pictures = inspection.pictures
    with_objects = [p for p in pictures if p.ok and p.objects]
    with_findings = [p for p in with_objects if has_findings(p, rules)]
    clean = [p for p in pictures if p.ok and not p.objects]
    failed = [p for p in pictures if not p.ok]
    today = datetime.datetime.now().astimezone().date().isoformat()
    return {
        "language": language,
        "title": rules.title.get(language) or next(iter(rules.title.values()), ""),
        "subtitle": f"{today} · {say('model', language)}: {inspection.model}",
        "footer": f"qwenbelt · {today}",
        "words": {name: say.template(name, language) for name in say},
        "counts": {
            "pictures": len(pictures),
            "findings": len(with_findings),
            "clean": sum(1 for p in pictures if p.ok) - len(with_findings),
            "failed": len(failed),
        },
        "classes": _class_rows(pictures, rules, language),
        "event_head": _EVENT_HEAD[language],
        "events": _event_rows(pictures, rules, language),
        "score_head": _SCORE_HEAD[language],
        "scores": _score_rows(evaluation, rules, language),
        "pages": [_picture_section(p, n, rules, language) for n, p in enumerate(with_objects)],
        "clean": [
            {"name": _short(p.image), "thumbnail": f"/{p.files['thumbnail']}"} for p in clean
        ],
        "problems": [{"name": p.image, "error": in_language(p.error, language)} for p in failed],
    }


def _class_rows(pictures: Sequence[Inspected], rules: Rules, language: Language) -> list[list[str]]:
    counts = collections.Counter((o.label, o.sub_label) for p in pictures for o in p.objects)
    return [
        [rules.name(label, language), rules.grade(label, grade, language), str(count)]
        for (label, grade), count in sorted(counts.items())
    ]


def _event_rows(pictures: Sequence[Inspected], rules: Rules, language: Language) -> list[list[str]]:
    return [
        [
            f"{_short(event.video)}: {rules.name(event.label, language)}",
            rules.grade(event.label, event.sub_label, language),
            f"{event.start:.1f} - {event.end:.1f} s",
            str(event.most),
        ]
        for event in video_events(pictures)
    ]


def _score_rows(evaluation: Evaluation | None, rules: Rules, language: Language) -> list[list[str]]:
    scores = evaluation.scores if evaluation else {}

    def row(label: str, score: ClassScore) -> list[str]:
        shares = [_percent(score.precision), _percent(score.recall)]
        counts = [str(n) for n in (score.right, score.wrong, score.missed)]
        return [rules.name(label, language), *counts, *shares]

    return [row(label, score) for label, score in sorted(scores.items())]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _picture_section(
    picture: Inspected, number: int, rules: Rules, language: Language
) -> dict[str, Any]:
    width, height = picture.size
    return {
        "key": f"picture-{number}",
        "name": _short(picture.image),
        "detail": f"{picture.image} · {width} x {height}",
        "copy": f"/{picture.files['copy']}",
        "annotated": f"/{picture.files.get('shown') or picture.files['annotated']}",
        "ratio": width / max(1, height),
        "index": _in_short(picture, rules, language),
        "findings": [_finding_line(found, picture, rules, language) for found in picture.objects],
        "notes": list(picture.notes),
    }


def _in_short(picture: Inspected, rules: Rules, language: Language) -> str:
    """Returns the findings of a picture in one line; "" when nothing of it is one."""
    names = [
        _named(found, rules, language)
        for found in picture.objects
        if rules.classes[found.label].is_alarm(found.sub_label)
    ]
    counts = collections.Counter(names)
    return ", ".join(f"{count} x {n}" if count > 1 else n for n, count in counts.items())


def _named(found: Found, rules: Rules, language: Language) -> str:
    grade = rules.grade(found.label, found.sub_label, language)
    return rules.name(found.label, language) + (f" · {grade}" if grade else "")


def _finding_line(
    found: Found, picture: Inspected, rules: Rules, language: Language
) -> dict[str, str | bool]:
    from PIL import ImageColor

    x1, y1, x2, y2 = found.bbox
    width, height = picture.size
    share = 100 * (x2 - x1) * (y2 - y1) / max(1, width * height)
    where = say(
        "share",
        language,
        place=place_in_picture(found.bbox, picture.size, language),
        share=f"{share:.0f}" if share >= 1 else "< 1",
    )
    numbers = ", ".join(f"{value:.0f}" for value in found.bbox)
    red, green, blue = ImageColor.getrgb(rules.classes[found.label].color)[:3]
    return {
        "name": _named(found, rules, language),
        "alarm": rules.classes[found.label].is_alarm(found.sub_label),
        "where": f"{where}  [{numbers}]",
        "reason": found.reason,
        "color": f"#{red:02x}{green:02x}{blue:02x}",
    }


def _short(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1][:80]
