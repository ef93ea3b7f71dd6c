"""Automatic numbers of Word's paragraphs: "3.", "2.1", "(a)", "第三条"."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from qwenbelt.tools.documents.parsing.numbering import WORD
from qwenbelt.tools.documents.parsing.office.word_text import W

MAX_LEVELS = 9
_PLACE = re.compile(r"%([1-9])")


@dataclass(slots=True)
class _Level:
    start: int = 1
    kind: str = "decimal"
    text: str = ""
    restart: int = -1  # the level after which it restarts; -1 for any above it
    plain: bool = False  # whether the levels above are shown in digits


@dataclass(slots=True)
class WordNumbers:
    """Counts the numbered paragraphs of a document.

    Args:
        numbering: the root of the numbering part, or None.
        styles: the root of the styles part, or None.
    """

    numbering: Any
    styles: Any
    _levels: dict[str, dict[int, _Level]] = field(default_factory=dict)
    _lists: dict[str, tuple[str, dict[int, int]]] = field(default_factory=dict)
    _counts: dict[str, dict[int, int]] = field(default_factory=dict)
    _started: set[tuple[str, int]] = field(default_factory=set)
    _by_style: dict[str, tuple[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.numbering is not None:
            self._read_lists()
        if self.styles is not None:
            self._read_styles()

    def of(self, paragraph: Any) -> str:
        """Returns the number before a paragraph, or ""; counts it."""
        properties = paragraph.find(f"{W}pPr")
        if properties is None:
            return ""
        number, level = self._place(properties)
        if number not in self._lists or not 0 <= level < MAX_LEVELS:
            return ""
        abstract, starts = self._lists[number]
        levels = self._levels.get(abstract, {})
        if level not in levels:
            return ""
        counts = self._count(number, abstract, level, starts, levels)
        return self._shown(levels, level, counts)

    def _place(self, properties: Any) -> tuple[str, int]:
        own = properties.find(f"{W}numPr")
        style = properties.find(f"{W}pStyle")
        by_style = self._by_style.get(style.get(f"{W}val", "") if style is not None else "")
        number, level = by_style or ("", 0)
        if own is not None:
            number = _value(own.find(f"{W}numId"), number)
            level = _integer(_value(own.find(f"{W}ilvl"), str(level)), level)
        return number, level

    def _count(
        self, number: str, abstract: str, level: int, starts: dict[int, int], levels: Any
    ) -> dict[int, int]:
        counts = self._counts.setdefault(abstract, {})
        if level in starts and (number, level) not in self._started:
            self._started.add((number, level))
            counts[level] = starts[level]
        else:
            counts[level] = counts.get(level, levels[level].start - 1) + 1
        for deeper in range(level + 1, MAX_LEVELS):
            after = levels[deeper].restart if deeper in levels else -1
            if after != 0 and (after < 0 or level < after):
                counts.pop(deeper, None)
        for above in range(level):
            if above in levels:
                counts.setdefault(above, levels[above].start)
        return counts

    def _shown(self, levels: dict[int, _Level], level: int, counts: dict[int, int]) -> str:
        own = levels[level]
        if own.kind in ("bullet", "none"):
            return ""

        def put(match: re.Match[str]) -> str:
            at = int(match[1]) - 1
            kind = "decimal" if own.plain or at not in levels else levels[at].kind
            return WORD.get(kind, str)(counts.get(at, 1))

        return _PLACE.sub(put, own.text).strip()

    def _read_lists(self) -> None:
        links: dict[str, str] = {}
        for node in self.numbering.iterfind(f"{W}abstractNum"):
            number = node.get(f"{W}abstractNumId", "")
            self._levels[number] = {}
            for level in node.iterfind(f"{W}lvl"):
                at = _integer(level.get(f"{W}ilvl"), 0)
                self._levels[number][at] = _level(level)
                style = _value(level.find(f"{W}pStyle"), "")
                if style:
                    links[style] = f"{number} {at}"
        for node in self.numbering.iterfind(f"{W}num"):
            number = node.get(f"{W}numId", "")
            abstract = _value(node.find(f"{W}abstractNumId"), "")
            starts = {}
            for override in node.iterfind(f"{W}lvlOverride"):
                at = _integer(override.get(f"{W}ilvl"), 0)
                own = override.find(f"{W}lvl")
                if own is not None and abstract in self._levels:
                    self._levels[number + "/own"] = {**self._levels[abstract], at: _level(own)}
                    abstract = number + "/own"
                start = override.find(f"{W}startOverride")
                if start is not None:
                    starts[at] = _integer(start.get(f"{W}val"), 1)
            self._lists[number] = (abstract, starts)
        for style, place in links.items():
            abstract, _, level_text = place.partition(" ")
            found = next((n for n, (a, _) in self._lists.items() if a == abstract), "")
            if found:
                self._by_style[style] = (found, int(level_text))

    def _read_styles(self) -> None:
        """Numbers that styles give; a style has those of the one that it is based on."""
        based: dict[str, str] = {}
        own: dict[str, tuple[str, int]] = {}
        for style in self.styles.iterfind(f"{W}style"):
            name = style.get(f"{W}styleId", "")
            based[name] = _value(style.find(f"{W}basedOn"), "")
            place = style.find(f"{W}pPr/{W}numPr")
            if place is not None:
                number = _value(place.find(f"{W}numId"), self._by_style.get(name, ("", 0))[0])
                level = _value(place.find(f"{W}ilvl"), str(self._by_style.get(name, ("", 0))[1]))
                own[name] = (number, _integer(level, 0))
        for name in based:
            seen, at = set(), name
            while at and at not in own and at not in seen:
                seen.add(at)
                at = based.get(at, "")
            if at in own:
                self._by_style[name] = own[at]


def _level(node: Any) -> _Level:
    return _Level(
        _integer(_value(node.find(f"{W}start"), "1"), 1),
        _value(node.find(f"{W}numFmt"), "decimal"),
        _value(node.find(f"{W}lvlText"), ""),
        _integer(_value(node.find(f"{W}lvlRestart"), "-1"), -1),
        node.find(f"{W}isLgl") is not None,
    )


def _value(node: Any, default: str) -> str:
    return str(node.get(f"{W}val", default)) if node is not None else default


def _integer(text: Any, default: int) -> int:
    return int(text) if re.fullmatch(r"-?\d{1,9}", str(text or "")) else default
