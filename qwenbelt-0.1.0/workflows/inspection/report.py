"""The results of an inspection as PDF, JSON, CSV and a contact sheet."""

from __future__ import annotations

import collections
import csv
import datetime
import io
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import QwenbeltError, one_line
from qwenbelt.core.files import replacing, write_bytes, write_text
from qwenbelt.core.language import Language
from qwenbelt.tools.plot.fonts import cjk_font
from qwenbelt.workflows.inspection.evaluation import Evaluation, Score
from qwenbelt.workflows.inspection.events import video_events
from qwenbelt.workflows.inspection.job import Inspection
from qwenbelt.workflows.inspection.rules import Found, Inspected, Rules
from qwenbelt.workflows.inspection.strings import WORDS, word

_EVENT_HEAD = {
    "en": ["Event", "Grade", "From - to", "Most"],
    "zh": ["事件", "等级", "起止", "最多"],
}
_SCORE_HEAD = {
    "en": ["Class", "Right", "Wrong", "Missed", "Precision", "Recall"],
    "zh": ["类别", "正确", "误报", "漏检", "精确率", "召回率"],
}


def has_findings(picture: Inspected, rules: Rules) -> bool:
    """Says whether a picture shows something that the rules count as a finding."""
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


def write_contact_sheet(path: Path, inspection: Inspection, columns: int = 6) -> None:
    """Writes all pictures as one picture of thumbnails."""
    from PIL import Image

    side, gap = 200, 8
    files = [p.files.get("thumbnail") for p in inspection.pictures]
    shown = [inspection.folder / name for name in files if name]
    if not shown:
        return
    height = ((len(shown) + columns - 1) // columns) * (side + gap) + gap
    sheet = Image.new("RGB", (columns * (side + gap) + gap, height), "white")
    for number, file in enumerate(shown):
        with Image.open(file) as opened:
            opened.thumbnail((side, side))
            x = gap + number % columns * (side + gap) + (side - opened.width) // 2
            y = gap + number // columns * (side + gap) + (side - opened.height) // 2
            sheet.paste(opened, (x, y))
    with replacing(path) as temporary:
        sheet.save(temporary, "JPEG", quality=85)


def write_pdf(
    path: Path,
    inspection: Inspection,
    rules: Rules,
    language: Language,
    evaluation: Evaluation | None = None,
) -> None:
    """Writes the report.

    Raises:
        QwenbeltError: it cannot be set; says so in one line.
    """
    import typst

    font = cjk_font("sans")
    data = _data(inspection, rules, language, evaluation)
    data["fonts"] = [font.family] if font else ["DejaVu Sans Mono"]
    template = resources.files("qwenbelt.workflows.inspection").joinpath("template.typ")
    try:
        compiler = typst.Compiler(
            root=inspection.folder.resolve(),
            font_paths=[font.folder] if font else [],
            ignore_system_fonts=True,
            sys_inputs={"data": json.dumps(data, ensure_ascii=False)},
        )
        made = compiler.compile(template.read_bytes(), format="pdf")
    except typst.TypstError as error:
        raise QwenbeltError(f"The PDF could not be set: {one_line(error, 300)}") from error
    write_bytes(path, made if isinstance(made, bytes) else b"".join(made or []))


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
        "subtitle": f"{today} · {word('model', language)}: {inspection.model}",
        "footer": f"qwenbelt · {today}",
        "words": {name: word(name, language) for name in WORDS},
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
        "pages": [_page(p, rules, language) for p in with_objects],
        "clean": [
            {"name": _short(p.image), "thumbnail": f"/{p.files['thumbnail']}"} for p in clean
        ],
        "problems": [{"name": p.image, "error": p.error} for p in failed],
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

    def row(label: str, score: Score) -> list[str]:
        shares = [_percent(score.precision), _percent(score.recall)]
        counts = [str(n) for n in (score.right, score.wrong, score.missed)]
        return [rules.name(label, language), *counts, *shares]

    return [row(label, score) for label, score in sorted(scores.items())]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _page(picture: Inspected, rules: Rules, language: Language) -> dict[str, Any]:
    width, height = picture.size
    return {
        "name": _short(picture.image),
        "detail": f"{picture.image} · {width} x {height}",
        "copy": f"/{picture.files['copy']}",
        "annotated": f"/{picture.files['annotated']}",
        "wide": width > 1.4 * height,
        "findings": [_finding(found, rules, language) for found in picture.objects],
        "notes": list(picture.notes),
    }


def _finding(found: Found, rules: Rules, language: Language) -> dict[str, str]:
    from PIL import ImageColor

    grade = rules.grade(found.label, found.sub_label, language)
    place = ", ".join(f"{value:.0f}" for value in found.bbox)
    text = rules.name(found.label, language) + (f" · {grade}" if grade else "") + f"  [{place}]"
    red, green, blue = ImageColor.getrgb(rules.classes[found.label].color)[:3]
    reason = f"  {found.reason}" if found.reason else ""
    return {"text": text + reason, "color": f"#{red:02x}{green:02x}{blue:02x}"}


def _short(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1][:80]
