"""How far a model and a person agree: shares, and Cohen's kappa."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

NOTHING = ""  # the category of an object that one of the two does not see


@dataclass
class Agreement:
    """Counts of decisions and the pairs (model's category, person's category) behind them.

    Attributes:
        pairs: one for each thing that the person decided on.
        overlaps: of the boxes that the person drew anew, how much they share with the model's.
    """

    confirmed: int = 0
    corrected: int = 0
    rejected: int = 0
    added: int = 0
    pairs: list[tuple[str, str]] = field(default_factory=list)
    overlaps: list[float] = field(default_factory=list)

    @property
    def decided(self) -> int:
        """How many of the model's findings the person decided on."""
        return self.confirmed + self.corrected + self.rejected

    @property
    def share(self) -> float | None:
        """The share of pairs in which both say the same; None without pairs."""
        return _same(self.pairs) / len(self.pairs) if self.pairs else None

    @property
    def precision(self) -> float | None:
        """The share of the model's findings that are something, if not quite what it said."""
        return (self.confirmed + self.corrected) / self.decided if self.decided else None

    @property
    def recall(self) -> float | None:
        """The share of what the person sees that the model found."""
        there = self.confirmed + self.corrected + self.added
        return (self.confirmed + self.corrected) / there if there else None

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa of the pairs (Cohen 1960); None where chance alone gives all agreement."""
        return cohen_kappa(self.pairs)

    def to_dict(self) -> dict[str, Any]:
        """Returns the JSON form; what is not known is null."""
        overlap = sum(self.overlaps) / len(self.overlaps) if self.overlaps else None
        shares = {
            "agreement": self.share,
            "kappa": self.kappa,
            "precision": self.precision,
            "recall": self.recall,
            "overlap": overlap,
        }
        counts = {
            "decided": self.decided,
            "confirmed": self.confirmed,
            "corrected": self.corrected,
            "rejected": self.rejected,
            "added": self.added,
        }
        return {**counts, **{k: None if v is None else round(v, 4) for k, v in shares.items()}}


def _same(pairs: Sequence[tuple[str, str]]) -> int:
    return sum(one == other for one, other in pairs)


def cohen_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Returns (observed - expected) / (1 - expected) agreement of two raters.

    Args:
        pairs: the category that each of the two gave.
    """
    count = len(pairs)
    if not count:
        return None
    first, second = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    # in whole numbers: a sum of shares is off by a rounding where all is one category
    expected = sum(first[name] * second[name] for name in first)
    if expected == count * count:
        return None
    return (_same(pairs) * count - expected) / (count * count - expected)
