"""Files that an answer shows, at addresses that only its reader knows."""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path, PurePath

MAX_KEPT = 20_000
_LONGEST_LINK = 300
_LINK = re.compile(r"\]\(([^()\s]{1,300})\)")


class Shelf:
    """Files by addresses that cannot be guessed; the oldest are forgotten first."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, Path] = OrderedDict()

    def put(self, path: Path) -> str:
        """Returns the path of the address of a file."""
        token = secrets.token_urlsafe(18)
        self._files[token] = path
        while len(self._files) > MAX_KEPT:
            self._files.popitem(last=False)
        return f"/files/{token}/{path.name}"

    def get(self, token: str) -> Path | None:
        """Returns a file by its address, or None."""
        path = self._files.get(token)
        return path if path is not None and path.is_file() else None


class Links:
    """Turns the names of the run's own files in a streamed text into addresses.

    Args:
        shelf: where files get their addresses.
        base: what addresses begin with.
    """

    def __init__(self, shelf: Shelf, base: str) -> None:
        self._shelf = shelf
        self._base = base
        self._known: dict[str, str] = {}
        self._shown: set[str] = set()
        self._held = ""

    def add(self, paths: Iterable[str]) -> None:
        """Takes in files that a tool has made."""
        for path in paths:
            file = Path(path)
            if file.is_file():
                self._known[file.name] = self._base + self._shelf.put(file)

    def feed(self, text: str) -> str:
        """Returns the text as far as no link can begin in it that has not ended."""
        whole = self._held + text
        start = whole.rfind("](")
        if start < 0 and whole.endswith("]"):
            start = len(whole) - 1
        if start >= 0 and ")" not in whole[start:] and len(whole) - start < _LONGEST_LINK:
            whole, self._held = whole[:start], whole[start:]
        else:
            self._held = ""
        return _LINK.sub(self._address, whole)

    def finish(self, *, pictures: bool = True) -> str:
        """Returns what was held back, and the pictures that the text does not show itself.

        Args:
            pictures: whether they may be behind the text; JSON would be none with them.
        """
        rest, self._held = self._held, ""
        shown = [
            f"\n\n![{name}]({address})"
            for name, address in self._known.items()
            if name not in self._shown and PurePath(name).suffix in (".png", ".jpg", ".jpeg")
        ]
        return _LINK.sub(self._address, rest) + "".join(shown if pictures else [])

    def _address(self, match: re.Match[str]) -> str:
        name = PurePath(match.group(1)).name
        if name not in self._known or "://" in match.group(1):
            return match.group()
        self._shown.add(name)
        return f"]({self._known[name]})"
