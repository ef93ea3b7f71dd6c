"""What a report shows of an inspection, in words and for both of its forms, PDF and HTML."""

from __future__ import annotations

import collections
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qwenbelt.core.language import Language
from qwenbelt.core.translation import in_language
from qwenbelt.workflows.inspection.evaluation import ClassScore, Evaluation
from qwenbelt.workflows.inspection.events import moments, video_events
from qwenbelt.workflows.inspection.job import Inspection
from qwenbelt.workflows.inspection.marking import SEVERITY_COLORS, crop_name, save_crop
from qwenbelt.workflows.inspection.rules import SEVERITIES, Found, Inspected, Rules, Severity
from qwenbelt.workflows.inspection.strings import place_in_picture, say

Row = dict[str, Any]
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
    return any(rules.severity(found) != "fine" for found in picture.objects)


def picture_severity(picture: Inspected, rules: Rules) -> Severity:
    """Returns the worst severity in a picture; fine when nothing was found."""
    return min(map(rules.severity, picture.objects), key=SEVERITIES.index, default="fine")


def report_data(
    inspection: Inspection,
    rules: Rules,
    language: Language,
    evaluation: Evaluation | None,
    checked: str = "",
) -> Row:
    """Returns all that a report shows; pictures are named by their paths in the folder.

    Args:
        inspection: what was found.
        rules: names, words and severities.
        language: of the report.
        evaluation: scores against ground truth.
        checked: what a person's review said, one sentence; "" without one.
    """
    pictures = inspection.pictures
    _keep_crops(inspection, rules)
    sections = [_picture_section(p, rules, language) for p in pictures if p.ok and p.objects]
    sections.sort(key=lambda section: section["order"])  # the worst first, else as given
    for number, section in enumerate(sections):
        section["key"] = f"picture-{number}"
    severities = collections.Counter(picture_severity(p, rules) for p in pictures if p.ok)
    failed = [p for p in pictures if not p.ok]
    today = datetime.datetime.now().astimezone().date().isoformat()
    return {
        "language": language,
        "title": rules.title.get(language) or next(iter(rules.title.values()), ""),
        "subtitle": f"{today} · {say('model', language)}: {inspection.model}",
        "footer": f"qwenbelt · {today}",
        "words": {name: say.template(name, language) for name in say},
        "colors": SEVERITY_COLORS,
        "checked": checked or say("unverified", language),
        "counts": {
            "pictures": len(pictures),
            **{name: severities[name] for name in SEVERITIES},
            "failed": len(failed),
        },
        "worst": _worst(sections),
        "classes": _class_rows(pictures, rules, language),
        "event_head": _EVENT_HEAD[language],
        "events": _event_rows(pictures, rules, language),
        "score_head": _SCORE_HEAD[language],
        "scores": _score_rows(evaluation, rules, language),
        "pages": sections,
        "clean": [
            {"name": short_name(p.image), "thumbnail": p.files["thumbnail"]}
            for p in pictures
            if p.ok and not p.objects
        ],
        "problems": [{"name": p.image, "error": in_language(p.error, language)} for p in failed],
    }


def _keep_crops(inspection: Inspection, rules: Rules) -> None:
    """Makes the crops that are missing: of a run before there were any, or of a corrected box."""
    from PIL import Image

    for picture in inspection.pictures:
        names = {crop_name(picture, found): found for found in picture.objects}
        missing = [f for name, f in names.items() if not (inspection.folder / name).is_file()]
        if not missing or "copy" not in picture.files:
            continue
        with Image.open(inspection.folder / picture.files["copy"]) as copy:
            scale = copy.width / max(1, picture.size[0])
            for found in missing:
                save_crop(copy, picture, found, rules, inspection.folder, scale)


def _worst(sections: Sequence[Row]) -> Row | None:
    if not sections or sections[0]["severity"] == "fine":
        return None
    return {**sections[0]["findings"][0], "image": sections[0]["name"], "key": sections[0]["key"]}


def _picture_section(picture: Inspected, rules: Rules, language: Language) -> Row:
    width, height = picture.size
    findings = sorted(picture.objects, key=rules.worst_first)
    return {
        "order": rules.worst_first(findings[0])[:3],
        "severity": picture_severity(picture, rules),
        "severity_name": say(picture_severity(picture, rules), language),
        "name": short_name(picture.image),
        "detail": f"{picture.image} · {width} x {height}",
        "copy": picture.files["copy"],
        "annotated": picture.files.get("shown") or picture.files["annotated"],
        "ratio": width / max(1, height),
        "index": _in_short(findings, rules, language),
        "classes": sorted({found.label for found in findings}),
        "findings": [_finding_row(found, picture, rules, language) for found in findings],
        "notes": list(picture.notes),
    }


def _in_short(findings: Sequence[Found], rules: Rules, language: Language) -> str:
    """Returns the findings of a picture in one line; "" when nothing of it is one."""
    said = [rules.words(f, language) for f in findings if rules.severity(f) != "fine"]
    counts = collections.Counter(said)
    joint = "；" if language == "zh" else "; "
    return joint.join(f"{name} × {count}" if count > 1 else name for name, count in counts.items())


def _finding_row(found: Found, picture: Inspected, rules: Rules, language: Language) -> Row:
    x1, y1, x2, y2 = found.bbox
    width, height = picture.size
    share = 100 * (x2 - x1) * (y2 - y1) / max(1, width * height)
    severity = rules.severity(found)
    return {
        "name": rules.words(found, language),
        "severity": severity,
        "severity_name": say(severity, language),
        "where": say(
            "share",
            language,
            place=place_in_picture(found.bbox, picture.size, language),
            share=f"{share:.0f}" if share >= 1 else "< 1",
        ),
        "box": ", ".join(f"{value:.0f}" for value in found.bbox),
        "reason": found.reason,
        "crop": crop_name(picture, found),
    }


def _class_rows(pictures: Sequence[Inspected], rules: Rules, language: Language) -> list[Row]:
    counts = collections.Counter((o.label, o.sub_label) for p in pictures for o in p.objects)
    rows = []
    order = sorted(counts, key=lambda kind: rules.worst_first(Found((0, 0, 0, 0), *kind)))
    for label, grade in order:
        severity, count = rules.classes[label].severity(grade), counts[label, grade]
        cells = [rules.name(label, language), rules.grade(label, grade, language), str(count)]
        rows.append({"cells": cells, "severity": severity})
    return rows


def _event_rows(pictures: Sequence[Inspected], rules: Rules, language: Language) -> list[Row]:
    rows = []
    for event in video_events(pictures):
        found = Found((0, 0, 0, 0), event.label, event.sub_label)
        severity = rules.severity(found)
        cells = [
            f"{short_name(event.video)}: {rules.name(event.label, language)}",
            rules.grade(event.label, event.sub_label, language),
            f"{event.start:.1f} - {event.end:.1f} s",
            str(event.most),
        ]
        strip = [
            {"thumbnail": picture.files["thumbnail"], "time": f"{picture.time:.1f} s"}
            for picture in moments(event, pictures)
            if "thumbnail" in picture.files
        ]
        name = f"{short_name(event.video)} · {cells[2]} · {rules.words(found, language)}"
        rows.append({"cells": cells, "severity": severity, "name": name, "moments": strip})
    return rows


def _score_rows(evaluation: Evaluation | None, rules: Rules, language: Language) -> list[list[str]]:
    scores = evaluation.scores if evaluation else {}

    def row(label: str, score: ClassScore) -> list[str]:
        shares = [_percent(score.precision), _percent(score.recall)]
        counts = [str(n) for n in (score.right, score.wrong, score.missed)]
        return [rules.name(label, language), *counts, *shares]

    return [row(label, score) for label, score in sorted(scores.items())]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def short_name(name: str) -> str:
    """Returns the last part of a path or address."""
    return Path(name.replace("\\", "/").rstrip("/")).name[:80]
