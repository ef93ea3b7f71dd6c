"""The output of labelling: JSON, CSV, a review sheet, training data."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from qwenbelt.core.cells import harmless_cell
from qwenbelt.core.errors import InputError
from qwenbelt.core.files import write_text
from qwenbelt.core.language import Language
from qwenbelt.core.translation import in_language
from qwenbelt.workflows.inspection.sources import unique_stems
from qwenbelt.workflows.labelling.asking import Labelled
from qwenbelt.workflows.labelling.labels import Labels
from qwenbelt.workflows.labelling.strings import labelling_prompt, say

JOINT = "|"  # between several labels in one cell
REJECTED = "rejected"  # the verdict of a person for whom none of the labels fits
KNOWN = "known.json"  # which labels there are, for a review
# labels that a person gave, by picture; none at all where none of the labels fits
Final = Mapping[str, tuple[str, ...]]
_STYLE = """body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}
table{border-collapse:collapse;width:100%}td,th{padding:.5rem;border-bottom:1px solid #ddd;
text-align:left;vertical-align:top;overflow-wrap:anywhere}img{max-width:14rem;max-height:14rem}"""


def write_all(
    folder: Path,
    pictures: Sequence[Labelled],
    labels: Labels,
    language: Language,
    final: Final,
) -> None:
    """Writes labels.jsonl, labels.csv, review.html, review.csv and train.jsonl.

    Args:
        folder: where to.
        pictures: what was labelled.
        labels: the labels and what was asked.
        language: of the sheet and of the training prompts.
        final: labels that a person gave, by picture.
    """
    lines = [json.dumps(picture.to_dict(), ensure_ascii=False) for picture in pictures]
    write_text(folder / "labels.jsonl", "".join(line + "\n" for line in lines))
    write_text(folder / "labels.csv", "\ufeff" + _csv(pictures, final))
    known = {"labels": list(labels.labels), "multiple": labels.multiple}
    write_text(folder / KNOWN, json.dumps(known, ensure_ascii=False))
    doubtful = [p for p in pictures if p.doubtful]
    write_review(folder, pictures, final)
    stems = unique_stems([picture.image for picture in pictures])
    places = {p.image: f"thumbnails/{stem}.jpg" for p, stem in zip(pictures, stems, strict=True)}
    write_text(folder / "review.html", _page(doubtful, places, language))
    write_text(folder / "train.jsonl", _training(pictures, labels, language, final))


def write_review(folder: Path, pictures: Sequence[Labelled], final: Final) -> None:
    """Writes review.csv."""
    write_text(folder / "review.csv", "\ufeff" + _review_csv(pictures, final))


def read_review(folder: Path, labels: Labels) -> dict[str, tuple[str, ...]]:
    """Returns the labels that a person wrote into the column `final` of review.csv.

    Raises:
        InputError: a label there is not one of the labels.
    """
    return read_final(folder, list(labels.labels))


def read_final(folder: Path, labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Returns the labels that a person gave, in a spreadsheet or in `qwenbelt review`.

    Raises:
        InputError: a label there is not one of the labels.
    """
    path = folder / "review.csv"
    final: dict[str, tuple[str, ...]] = {}
    if not path.is_file():
        return final
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), 2):
        given = tuple(n.strip() for n in (row.get("final") or "").split(JOINT) if n.strip())
        for name in given:
            if name not in labels:
                known = ", ".join(labels)
                raise InputError(f"{path}:{number}: {name!r} is none of the labels ({known}).")
        if given or (row.get("verdict") or "") == REJECTED:
            final[str(row.get("image"))] = tuple(sorted(given))
    return final


def _csv(pictures: Sequence[Labelled], final: Final) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["image", "label", "agreement", "doubtful", "final", "reason", "error"])
    for p in pictures:
        shown = [JOINT.join(p.labels), f"{p.agreement:.2f}", "yes" if p.doubtful else "no"]
        by_person = JOINT.join(final.get(p.image, ()))
        writer.writerow([harmless_cell(v) for v in (p.image, *shown, by_person, p.reason, p.error)])
    return out.getvalue()


def _review_csv(pictures: Sequence[Labelled], final: Final) -> str:
    """Returns the doubtful pictures, and every other one that a person has decided on."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["image", "label", "agreement", "reason", "final", "verdict"])
    here = {p.image for p in pictures}
    for p in pictures:
        if p.doubtful or p.image in final:
            names = final.get(p.image)
            shown = (p.image, JOINT.join(p.labels), f"{p.agreement:.2f}", p.reason)
            row = (*shown, JOINT.join(names or ()), _verdict(p, names))
            writer.writerow([harmless_cell(v) for v in row])
    for image, names in final.items():
        if image not in here:  # of an earlier run with other pictures
            writer.writerow([harmless_cell(v) for v in (image, "", "", "", JOINT.join(names), "")])
    return out.getvalue()


def _verdict(picture: Labelled, names: tuple[str, ...] | None) -> str:
    if names is None:
        return ""
    return REJECTED if not names else "confirmed" if names == picture.labels else "corrected"


def _page(pictures: Sequence[Labelled], places: Mapping[str, str], language: Language) -> str:
    title = say("review", language)
    heads = ("picture", "label", "votes", "why", "reason")
    head = "".join(f"<th>{say(name, language)}</th>" for name in heads)
    rows = "".join(_row(p, places[p.image], language) for p in pictures)
    table = f"<p>{say('how', language)}</p><table><tr>{head}</tr>{rows}</table>"
    body = table if pictures else f"<p>{say('nothing', language)}</p>"
    return (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1>{body}</html>\n"
    )


def _row(picture: Labelled, place: str, language: Language) -> str:
    votes = ", ".join(f"{JOINT.join(names)} ×{count}" for names, count in picture.votes)
    why = say("few", language)
    if not picture.ok:
        why = say("failed", language, error=in_language(picture.error, language))
    elif picture.unread:
        why += f"; {say('unreadable', language)}"
    texts = (JOINT.join(picture.labels), votes, why, picture.reason)
    cells = "".join(f"<td>{html.escape(text)}</td>" for text in texts)
    shown = html.escape(picture.image)
    return f'<tr><td><img src="{html.escape(place)}" alt=""><br>{shown}</td>{cells}</tr>'


def _training(
    pictures: Sequence[Labelled],
    labels: Labels,
    language: Language,
    final: Final,
) -> str:
    """Returns training data with `messages` and `images`, as trainers of vision models take it.

    In it are what a person confirmed and what the votes agreed on; doubtful ones are left out.
    """
    question = labelling_prompt(labels, list(labels.labels), language)
    lines = []
    for p in pictures:
        by_person = final.get(p.image)
        if by_person is not None:
            names = by_person
        else:
            names = p.labels if p.ok and not p.doubtful else ()
        if not names:
            continue
        label: object = list(names) if labels.multiple else names[0]
        reason = p.reason if names == p.labels else ""
        answer = json.dumps({"reason": reason, "label": label}, ensure_ascii=False)
        messages = [
            {"role": "user", "content": f"<image>{question}"},
            {"role": "assistant", "content": answer},
        ]
        lines.append(
            json.dumps({"messages": messages, "images": [p.image]}, ensure_ascii=False) + "\n"
        )
    return "".join(lines)
