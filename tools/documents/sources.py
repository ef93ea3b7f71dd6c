"""The numbers under which a run's passages can be cited.

A passage keeps its number for the whole run, whichever call brought it, so an answer that says
[7] can be traced to a file, a page and the words that the model saw.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NumberedSource:
    """The passage behind one number.

    Attributes:
        number: from 1, in the order in which passages were shown.
        file: the document's name, as the model sees it.
        path: where the document is.
        page: from 1.
        text: what was shown of the page.
        quote: the words of it that fitted the search best, or "".
    """

    number: int
    file: str
    path: str
    page: int
    text: str
    quote: str = ""


class SourceBook:
    """Gives passages their numbers; may be used from many threads.

    Args:
        known: passages that have their numbers already, from 1.
    """

    def __init__(self, known: Iterable[NumberedSource] = ()) -> None:
        self._sources = list(known)
        self._numbers = {(s.path, s.page, s.text): s.number for s in self._sources}
        self._lock = threading.Lock()

    def number(self, *, file: str, path: str, page: int, text: str, quote: str = "") -> int:
        """Returns the passage's number, a new one if it was not shown before."""
        key = (path, page, text)
        with self._lock:
            if key not in self._numbers:
                self._numbers[key] = len(self._sources) + 1
                self._sources.append(
                    NumberedSource(self._numbers[key], file, path, page, text, quote)
                )
            return self._numbers[key]

    def get(self, number: int) -> NumberedSource | None:
        """Returns the passage behind a number, or None."""
        return self._sources[number - 1] if 1 <= number <= len(self._sources) else None

    def __iter__(self) -> Iterator[NumberedSource]:
        return iter(list(self._sources))

    def __len__(self) -> int:
        return len(self._sources)
