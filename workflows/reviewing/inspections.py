"""A person's decisions on an inspection: kept in review.csv at once, applied to the report later.

`review.csv` has a row for each finding, each box that the person drew, and each empty picture:
what the model said, the verdict (`confirmed`, `corrected`, `rejected`, `added`, or nothing yet),
and what it is after the review.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

from qwenbelt.core.cells import harmless_cell
from qwenbelt.core.errors import InputError
from qwenbelt.core.files import write_text
from qwenbelt.workflows.inspection.coordinates import inside_picture, overlap_share
from qwenbelt.workflows.inspection.rules import Found, Inspected, Rules
from qwenbelt.workflows.reviewing.agreement import NOTHING, Agreement

Verdict = Literal["", "confirmed", "corrected", "rejected", "added"]
REVIEW = "review.csv"
_BOX = ("x1", "y1", "x2", "y2")
_HEAD = (
    *("image", "object", "label", "sub_label", *_BOX, "verdict"),
    *("final_label", "final_sub_label", *(f"final_{side}" for side in _BOX)),
)


@dataclass(frozen=True)
class Decision:
    """What a person says of one object.

    Attributes:
        model: what the model found; None for a box that the person drew.
        verdict: "" while the person has not decided.
        final: what it is; None when rejected.
    """

    model: Found | None
    verdict: Verdict = ""
    final: Found | None = None


class InspectionReview:
    """The review of an inspection.

    Args:
        pictures: what the model found; those that were not inspected are left out, those
            with findings come first.
        rules: which classes and grades there are.
        folder: the folder of the inspection's files, where review.csv is.
    """

    kind = "inspection"

    def __init__(self, pictures: Sequence[Inspected], rules: Rules, folder: Path) -> None:
        shown = [p for p in pictures if p.ok and "copy" in p.files]
        self.pictures = sorted(shown, key=lambda p: not p.objects)
        self.rules = rules
        self.folder = folder
        self.path = folder / REVIEW
        self._decisions = [[Decision(found) for found in p.objects] for p in self.pictures]
        self._empty = [False for _ in self.pictures]  # confirmed that nothing is to be seen
        self._read()

    # -- what is shown --------------------------------------------------------------------------

    @property
    def choices(self) -> dict[str, list[str]]:
        """The classes and their grades."""
        return {name: list(rule.grades) for name, rule in self.rules.classes.items()}

    def __len__(self) -> int:
        return len(self.pictures)

    def picture(self, number: int) -> Path:
        """Returns the file to show."""
        return self.folder / self.pictures[number].files["copy"]

    def item(self, number: int) -> dict[str, Any]:
        """Returns one picture and its objects, as JSON."""
        picture = self.pictures[number]
        objects = []
        for entry in self._decisions[number]:
            shown = entry.final or entry.model
            if shown is not None:
                severity = self.rules.severity(shown)
                of_model = entry.model is not None
                objects.append(
                    {**shown.to_dict(), "verdict": entry.verdict, "model": of_model}
                    | {"severity": severity}
                )
        return {
            "image": picture.image,
            "size": list(picture.size),
            "objects": objects,
            "empty": self._empty[number],
            "done": self.is_done(number),
        }

    def is_done(self, number: int) -> bool:
        """Returns whether everything in a picture is decided."""
        decisions = self._decisions[number]
        return all(entry.verdict for entry in decisions) if decisions else self._empty[number]

    # -- decisions ------------------------------------------------------------------------------

    def decide(self, number: int, table: Mapping[str, Any]) -> None:
        """Takes the state of a picture's objects and keeps it in review.csv.

        Args:
            number: of the picture.
            table: `{"objects": [{"verdict", "label", "sub_label", "bbox"}], "empty": bool}`: the
                model's objects in their order, then the drawn ones.

        Raises:
            InputError: it is not of that form.
        """
        given, of_model = table.get("objects"), self.pictures[number].objects
        if not isinstance(given, list) or not len(of_model) <= len(given) <= 1000:
            raise InputError("A decision needs the objects of its picture.")
        made = [
            self._decision(entry, of_model[n] if n < len(of_model) else None, number)
            for n, entry in enumerate(given)
        ]
        self._decisions[number] = made
        self._empty[number] = bool(table.get("empty")) and not made
        self.save()

    def _decision(self, entry: Any, model: Found | None, number: int) -> Decision:
        verdict = entry.get("verdict", "") if isinstance(entry, dict) else None
        if verdict not in get_args(Verdict) or (model is None) != (verdict == "added"):
            raise InputError(f"Not a verdict on an object: {verdict!r}.")
        if model is not None and verdict in ("", "rejected"):
            return Decision(model, verdict)
        final = self._found(entry, number)
        if model is None:
            return Decision(None, "added", final)
        same = (final.label, final.sub_label) == (model.label, model.sub_label)
        moved = any(abs(a - b) > 1 for a, b in zip(final.bbox, model.bbox, strict=True))
        if same and not moved:
            return Decision(model, "confirmed", model)
        return Decision(model, "corrected", replace(final, reason=model.reason if same else ""))

    def _found(self, entry: Mapping[str, Any], number: int) -> Found:
        label, grade = entry.get("label"), entry.get("sub_label") or ""
        rule = self.rules.classes.get(str(label))
        if rule is None or (grade not in rule.grades if rule.grades else grade):
            raise InputError(f"No class and grade of the rules: {label!r}, {grade!r}.")
        box = entry.get("bbox")
        try:
            corners = tuple(float(value) for value in cast("Sequence[Any]", box))
        except (TypeError, ValueError):
            corners = ()
        inside = None
        if len(corners) == 4 and all(map(math.isfinite, corners)):
            inside = inside_picture(corners, self.pictures[number].size)
        if inside is None:
            raise InputError("A box has four numbers, in pixels of the picture.")
        return Found(inside, str(label), grade)

    # -- the file -------------------------------------------------------------------------------

    def save(self) -> None:
        """Writes review.csv."""
        out = io.StringIO()
        rows = csv.writer(out)
        rows.writerow(_HEAD)
        for picture, decisions, empty in zip(
            self.pictures, self._decisions, self._empty, strict=True
        ):
            name = harmless_cell(picture.image)
            if not decisions:
                rows.writerow([name, *[""] * 7, "confirmed" if empty else ""])
            for number, entry in enumerate(decisions, 1):
                model, final = _cells(entry.model), _cells(entry.final)
                of_model = number if entry.model is not None else ""
                rows.writerow([name, of_model, *model, entry.verdict, *final])
        write_text(self.path, "\ufeff" + out.getvalue())

    def _read(self) -> None:
        """Takes up earlier decisions; those on what the model no longer says are passed over."""
        if not self.path.is_file():
            return
        text = self.path.read_text(encoding="utf-8-sig", errors="replace")
        places = {harmless_cell(p.image): n for n, p in enumerate(self.pictures)}
        for row in csv.DictReader(io.StringIO(text)):
            number = places.get(row.get("image") or "")
            verdict = row.get("verdict") or ""
            if number is None or verdict not in get_args(Verdict) or not verdict:
                continue
            try:
                self._take_row(number, row, cast("Verdict", verdict))
            except (InputError, ValueError, IndexError):
                continue  # a row that a person or a spreadsheet broke

    def _take_row(self, number: int, row: Mapping[str, Any], verdict: Verdict) -> None:
        decisions = self._decisions[number]
        if not row["object"] and verdict == "confirmed":
            self._empty[number] = not decisions
            return
        table = {
            "verdict": verdict,
            "label": row["final_label"],
            "sub_label": row["final_sub_label"],
            "bbox": [row[f"final_{side}"] for side in _BOX],
        }
        if verdict == "added":
            decisions.append(self._decision(table, None, number))
            return
        place = int(row["object"]) - 1
        model = decisions[place].model if place >= 0 else None
        said = [str(row[name]) for name in ("label", "sub_label", *_BOX)]
        if model is not None and said == _cells(model):
            decisions[place] = self._decision(table, model, number)

    # -- what comes of it -----------------------------------------------------------------------

    def agreement(self) -> Agreement:
        """Returns how far the person agrees with the model, on what was decided."""
        out = Agreement()
        for decisions, empty in zip(self._decisions, self._empty, strict=True):
            out.pairs += [(NOTHING, NOTHING)] if empty else []
            for entry in decisions:
                if not entry.verdict:
                    continue
                setattr(out, entry.verdict, getattr(out, entry.verdict) + 1)
                out.pairs.append((_category(entry.model), _category(entry.final)))
                if entry.model is not None and entry.final not in (None, entry.model):
                    out.overlaps.append(_overlap(entry.model, entry.final))
        return out

    def reviewed(self) -> list[Inspected]:
        """Returns the pictures with what the person decided; the undecided stays as it was."""
        out = []
        for picture, decisions in zip(self.pictures, self._decisions, strict=True):
            kept = [
                entry.final or entry.model for entry in decisions if entry.verdict != "rejected"
            ]
            out.append(replace(picture, objects=tuple(found for found in kept if found)))
        return out


def _overlap(one: Found, other: Found | None) -> float:
    return overlap_share(one.bbox, other.bbox) if other is not None else 0.0


def _category(found: Found | None) -> str:
    return f"{found.label}/{found.sub_label}" if found is not None else NOTHING


def _cells(found: Found | None) -> list[str]:
    if found is None:
        return [""] * 6
    return [found.label, found.sub_label, *(f"{value:.2f}" for value in found.bbox)]
