"""A person's decisions on labels: kept in the column `final` of review.csv, as by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import InputError
from qwenbelt.workflows.inspection.sources import unique_stems
from qwenbelt.workflows.labelling.asking import Labelled
from qwenbelt.workflows.labelling.export import JOINT, Final, write_review
from qwenbelt.workflows.reviewing.agreement import NOTHING, Agreement


class LabelReview:
    """The review of labels: doubtful pictures first, then the others.

    Args:
        pictures: what the votes said.
        labels: all labels that there are.
        multiple: whether a picture may have several.
        folder: of the labelling's files.
        final: what was decided before.
    """

    kind = "labels"

    def __init__(
        self,
        pictures: Sequence[Labelled],
        labels: Sequence[str],
        multiple: bool,
        folder: Path,
        final: Final,
    ) -> None:
        stems = unique_stems([picture.image for picture in pictures])
        self._files = {p.image: f"{stem}.jpg" for p, stem in zip(pictures, stems, strict=True)}
        self._all = list(pictures)
        self.pictures = sorted(
            (p for p in pictures if (folder / "thumbnails" / self._files[p.image]).is_file()),
            key=lambda p: not p.doubtful,
        )
        self.labels, self.multiple = list(labels), multiple
        self.folder = folder
        self.path = folder / "review.csv"
        self.final = dict(final)

    @property
    def choices(self) -> dict[str, list[str]]:
        """The labels; they have no grades."""
        return {name: [] for name in self.labels}

    def __len__(self) -> int:
        return len(self.pictures)

    def picture(self, number: int) -> Path:
        """Returns the file to show."""
        return self.folder / "thumbnails" / self._files[self.pictures[number].image]

    def item(self, number: int) -> dict[str, Any]:
        """Returns one picture and its votes, as JSON."""
        picture = self.pictures[number]
        votes = [{"labels": list(names), "count": count} for names, count in picture.votes]
        final = self.final.get(picture.image)
        return {
            "image": picture.image,
            "labels": list(picture.labels),
            "reason": picture.reason,
            "votes": votes,
            "doubtful": picture.doubtful,
            "final": None if final is None else list(final),
            "done": final is not None,
        }

    def decide(self, number: int, table: Mapping[str, Any]) -> None:
        """Takes the labels of a picture and keeps them in review.csv.

        Args:
            number: of the picture.
            table: `{"final": [label, ...]}`; empty when none of the labels fits, null to take an
                earlier decision back.

        Raises:
            InputError: it is not of that form, or holds an unknown label.
        """
        given, image = table.get("final"), self.pictures[number].image
        if given is None:
            self.final.pop(image, None)
        else:
            if not isinstance(given, list) or any(name not in self.labels for name in given):
                raise InputError(f"None of the labels: {given!r}.")
            if len(given) > 1 and not self.multiple:
                raise InputError("A picture has one label here.")
            self.final[image] = tuple(sorted(set(given)))
        self.save()

    def save(self) -> None:
        """Writes review.csv."""
        write_review(self.folder, self._all, self.final)

    def agreement(self) -> Agreement:
        """Returns how far the person agrees with the votes, on what was decided."""
        out = Agreement()
        for picture in self.pictures:
            final = self.final.get(picture.image)
            if final is None:
                continue
            said = JOINT.join(picture.labels)
            if not final:
                out.rejected += 1
            elif JOINT.join(final) == said:
                out.confirmed += 1
            else:
                out.corrected += 1
            out.pairs.append((said or NOTHING, JOINT.join(final) or NOTHING))
        return out
