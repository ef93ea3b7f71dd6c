"""What a failed check of the kit raises: assertion errors, so that any test runner shows them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CheckFailed(AssertionError):
    """A check of the kit did not hold; the message has what, where, and what came nearest."""


class ScenarioFailed(CheckFailed):
    """The scripted endpoint met a request that the scenario does not allow, or waited in vain."""


class CassetteMissed(CheckFailed):
    """A replayed request is not on the cassette, or a recording was left unused."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns ` Did you mean 'x'?` for the known word most like `word`, or an empty text."""
    found = difflib.get_close_matches(word, list(known), 1, 0.5)
    return f" Did you mean {found[0]!r}?" if found else ""
