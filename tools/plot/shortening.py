"""Shortens names so that they remain distinguishable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

MARK = "…"


def distinct_names(names: Sequence[str], longest: int) -> list[str]:
    """Returns the names within `longest` characters; different names stay different.

    What names have in common goes first: the end, then the middle, then the common beginning and
    end; only where nothing of that keeps them apart do they get numbers.
    """
    if all(len(name) <= longest for name in names):
        return list(names)
    different = len(set(names))
    best: list[str] = []
    for cut in (_cut_at_end, _cut_in_middle, _difference(names)):
        shown = [name if len(name) <= longest else cut(name, longest) for name in names]
        if len(set(shown)) == different:
            return shown
        if len(set(shown)) > len(set(best)):
            best = shown
    return _numbered(names, best, longest)


def _cut_at_end(name: str, longest: int) -> str:
    return name[: longest - 1].rstrip() + MARK


def _cut_in_middle(name: str, longest: int) -> str:
    room = (longest - 1) // 2
    head, tail = name[:room], name[len(name) - (longest - 1 - room) :]
    space = tail.find(" ")
    if 0 <= space < len(tail) // 2 and not name[: len(name) - len(tail)].endswith(" "):
        tail = tail[space:]  # whole words, where they are short
    return head.rstrip() + MARK + tail.lstrip()


def _difference(names: Sequence[str]) -> Callable[[str, int], str]:
    long = sorted(set(names))
    before = _common_beginning(long[0], long[-1])
    rests = sorted(name[len(before) :][::-1] for name in long)
    after = _common_beginning(rests[0], rests[-1])[::-1]
    if before and not before[-1].isspace() and before.isascii():
        before = before[: before.rfind(" ") + 1]  # whole words

    def cut(name: str, longest: int) -> str:
        core = name[len(before) : len(name) - len(after)] if after else name[len(before) :]
        text = (MARK if before else "") + core.strip() + (MARK if after.strip() else "")
        return text if len(text) <= longest else _cut_in_middle(text, longest)

    return cut


def _common_beginning(first: str, second: str) -> str:
    """Returns how both begin; of sorted texts, the first and the last decide it for all."""
    pairs = zip(first, second, strict=False)
    count = next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
    return first[:count]


def _numbered(names: Sequence[str], shown: list[str], longest: int) -> list[str]:
    counts = Counter(dict(zip(names, shown, strict=True)).values())
    twice = {text for text, count in counts.items() if count > 1}
    numbers: dict[str, int] = {}
    out = []
    for name, text in zip(names, shown, strict=True):
        if text in twice:
            ending = f" {numbers.setdefault(name, len(numbers) + 1)}"
            text = text[: max(1, longest - len(ending))] + ending
        out.append(text)
    return out
