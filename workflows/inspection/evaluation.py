"""How good the findings are, against ground truth in COCO or Pascal VOC form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from qwenbelt.core.errors import InputError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.workflows.inspection.coordinates import BBox, overlap_share
from qwenbelt.workflows.inspection.rules import Found, Inspected

MATCH = 0.5  # intersection over union, the usual threshold of both benchmarks
Truth = dict[str, list[Found]]


@dataclass
class ClassScore:
    """Counts of one class."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    @property
    def precision(self) -> float | None:
        """The share of findings that are right; None without findings."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else None

    @property
    def recall(self) -> float | None:
        """The share of true objects that were found; None without true objects."""
        return self.right / (self.right + self.missed) if self.right + self.missed else None


@dataclass(frozen=True)
class Evaluation:
    """Scores per class, and the pictures with misses or wrong findings."""

    scores: Mapping[str, ClassScore]
    misses: Mapping[str, Sequence[Found]]
    wrong: Mapping[str, Sequence[Found]]


def load_truth(path: str | Path) -> Truth:
    """Returns the true objects by picture name, from a COCO JSON file or a folder of VOC XML.

    Raises:
        InputError: it is neither.
    """
    place = Path(path)
    try:
        return _read_voc(place) if place.is_dir() else _read_coco(place)
    except OSError as error:
        raise InputError(f"{place}: cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, AttributeError, ElementTree.ParseError) as error:
        raise InputError(
            f"{place}: neither COCO JSON nor a folder of VOC XML ({error})."
        ) from error


def _read_coco(path: Path) -> Truth:
    table = loads_bounded(path.read_text(encoding="utf-8"))
    names = {entry["id"]: entry["file_name"] for entry in table["images"]}
    classes = {entry["id"]: entry["name"] for entry in table["categories"]}
    truth: Truth = {name: [] for name in names.values()}
    for entry in table["annotations"]:
        x, y, width, height = entry["bbox"]
        box: BBox = (x, y, x + width, y + height)
        truth[names[entry["image_id"]]].append(Found(box, classes[entry["category_id"]]))
    return truth


def _read_voc(folder: Path) -> Truth:
    files = sorted(folder.glob("*.xml"))
    if not files:
        raise ValueError("no XML file in it")
    truth: Truth = {}
    for file in files:
        text = file.read_text(encoding="utf-8")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise ValueError(f"{file.name} declares entities")
        root = ElementTree.fromstring(text)  # noqa: S314 - entities are refused above
        objects = truth.setdefault(root.findtext("filename") or file.stem, [])
        for entry in root.iter("object"):
            values = [float(entry.findtext(f"bndbox/{n}") or "x") for n in _VOC]
            objects.append(Found((values[0], values[1], values[2], values[3]), _text(entry)))
    return truth


_VOC = ("xmin", "ymin", "xmax", "ymax")


def _text(entry: ElementTree.Element) -> str:
    return (entry.findtext("name") or "").strip()


def match_findings(pictures: Sequence[Inspected], truth: Truth) -> Evaluation:
    """Matches findings with true objects, best overlap first, each at most once."""
    scores: dict[str, ClassScore] = {}
    misses: dict[str, list[Found]] = {}
    wrong: dict[str, list[Found]] = {}
    by_name = {Path(name).name: objects for name, objects in truth.items()}
    for picture in pictures:
        true = by_name.get(Path(picture.image).name)
        if true is None:
            continue
        pairs = sorted(
            (
                (overlap_share(f.bbox, t.bbox), i, j)
                for i, f in enumerate(picture.objects)
                for j, t in enumerate(true)
                if f.label == t.label
            ),
            reverse=True,
        )
        used_found: set[int] = set()
        used_true: set[int] = set()
        for share, i, j in pairs:
            if share >= MATCH and i not in used_found and j not in used_true:
                used_found.add(i)
                used_true.add(j)
        for i, found in enumerate(picture.objects):
            score = scores.setdefault(found.label, ClassScore())
            if i in used_found:
                score.right += 1
            else:
                score.wrong += 1
                wrong.setdefault(picture.image, []).append(found)
        for j, entry in enumerate(true):
            if j not in used_true:
                scores.setdefault(entry.label, ClassScore()).missed += 1
                misses.setdefault(picture.image, []).append(entry)
    return Evaluation(scores, misses, wrong)
