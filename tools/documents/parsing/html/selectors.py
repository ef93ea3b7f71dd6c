"""Which elements of a page a style sheet's selector is about.

Names are compared here, by lists of the elements that bear them and the places of elements in the
page; only of what says more than names is the selector library asked, and only about elements that
bear the names: asking it everything took 14 times as long as all other reading.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bs4 import Tag

LIBRARY_LOOKS = 20  # the library looks at more than names

_NAME = r"(?:[\w-]|[^\x00-\x7f]|\\[^\da-fA-F\n])+"
_COMPOUND = re.compile(rf"(\*|{_NAME})?((?:[.#]{_NAME})*)")
_MARKED = re.compile(rf"([.#])({_NAME})")
_ESCAPE = re.compile(r"\\(.)")
_NESTED = re.compile(r"\((?:[^()]|\([^()]*\))*\)|\[[^\]]*\]|\"[^\"]*\"|'[^']*'")
_JOINT = re.compile(r"\s*([>+~])\s*|\s+")
_ATTRIBUTE = re.compile(r"\[\s*([\w-]+)\s*(?:[~|^$*]?=|\])")
_KEPT = re.compile(r"\[(\d+)\]")
_CONDITION = re.compile(r"\[\d+\]|(?<!\\):[\w-]*:?")  # beside names; in `_compounds`' short form
_NESTING = re.compile(r"[(\[\"']")
_KINDS = {"#": "id", ".": "class"}


class _Compound(NamedTuple):
    """The names that an element must bear, and how the one before it lies: around it, or next."""

    tag: str
    own: str
    classes: tuple[str, ...]
    joint: str = " "
    plain: bool = True
    attributes: tuple[str, ...] = ()


class Selectors:
    """Finds a page's elements by selectors.

    Attributes:
        looks: at how many elements it may still look.
    """

    def __init__(self, tags: list[Tag], looks: int) -> None:
        self.looks = looks
        self._tags = tags
        self._bearers: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._bearers["", ""] = list(range(len(tags)))
        self._classes: list[frozenset[str]] = []
        self._found: dict[_Compound, list[int]] = {}
        numbers: dict[int, int] = {}
        self._parents: list[int] = []
        self._ends = list(range(1, len(tags) + 1))
        for number, tag in enumerate(tags):
            numbers[id(tag)] = number
            self._parents.append(numbers.get(id(tag.parent), -1))
            self._list_names(number, tag)
        for number in range(len(tags) - 1, -1, -1):
            parent = self._parents[number]
            if parent >= 0 and self._ends[parent] < self._ends[number]:
                self._ends[parent] = self._ends[number]

    def _list_names(self, number: int, tag: Tag) -> None:
        bearers = self._bearers
        bearers["tag", tag.name.lower()].append(number)
        attributes = tag.attrs
        if own := attributes.get("id"):
            bearers["id", str(own)].append(number)
        given = attributes.get("class") or ""
        words = frozenset((given if isinstance(given, str) else " ".join(given)).split())
        self._classes.append(words)
        for word in words:
            bearers["class", word].append(number)

    def may_find(self, text: str) -> bool:
        """Returns whether all classes and ids that a selector asks for are on the page."""
        if "\\" in text:
            return True
        names = _MARKED.findall(_NESTED.sub("", text) if _NESTING.search(text) else text)
        return all((_KINDS[mark], name) in self._bearers for mark, name in names)

    def selected(self, text: str) -> list[Tag]:
        """Returns the elements that a selector is about; none where it is not understood."""
        compounds = _compounds(text)
        if all(c.joint in (" ", ">") for c in compounds):
            found = self._in_a_chain(compounds)
        elif all(self._bearing(c) for c in compounds):
            found = self._bearing(compounds[-1])
        else:
            found = []
        bearers = [self._tags[n] for n in found]
        if not bearers or all(c.plain for c in compounds):
            return bearers
        return self._selected_by_library(text, bearers)

    def _selected_by_library(self, text: str, bearers: list[Tag]) -> list[Tag]:
        import soupsieve

        self.looks -= LIBRARY_LOOKS * len(bearers)
        if self.looks <= 0:
            return []
        try:
            selector = soupsieve.compile(text)
            return [tag for tag in bearers if selector.match(tag)]
        except Exception:  # what it does not know is not applied
            return []

    def _in_a_chain(self, compounds: list[_Compound]) -> list[int]:
        """Finds the bearers of the last names inside of those of the names before, and so on."""
        found = self._bearing(compounds[0])
        for compound in compounds[1:]:
            if not found:
                break
            bearing = self._bearing(compound)
            self.looks -= len(bearing)
            if compound.joint == ">":
                around = set(found)
                found = [n for n in bearing if self._parents[n] in around]
            else:
                found = self._inside(found, bearing)
        return found

    def _inside(self, around: list[int], wanted: list[int]) -> list[int]:
        """Returns those of some elements that are inside of others; both in the page's order."""
        found: list[int] = []
        at, end = 0, 0
        for number in wanted:
            while at < len(around) and around[at] < number:
                end = max(end, self._ends[around[at]])
                at += 1
            if number < end:
                found.append(number)
        return found

    def _bearing(self, wanted: _Compound) -> list[int]:
        """Returns the elements that bear a compound's names."""
        found = self._found.get(wanted)
        if found is not None:
            return found
        keys = [("tag", wanted.tag)] if wanted.tag else []
        keys += [("id", wanted.own)] if wanted.own else []
        keys += [("class", name) for name in wanted.classes]
        if all(key in self._bearers for key in keys):
            rarest = min(keys or [("", "")], key=lambda key: len(self._bearers[key]))
            found = self._bearers[rarest]
            self.looks -= len(found)
            if self.looks <= 0:
                return []
            if len(keys) > 1 or wanted.attributes:
                found = [n for n in found if self._bears(n, wanted)]
        else:
            found = []
        self._found[wanted] = found
        return found

    def _bears(self, number: int, wanted: _Compound) -> bool:
        tag = self._tags[number]
        if wanted.tag and wanted.tag != tag.name.lower():
            return False
        if wanted.own and wanted.own != tag.attrs.get("id"):
            return False
        if wanted.attributes and not all(a in tag.attrs for a in wanted.attributes):
            return False
        return self._classes[number].issuperset(wanted.classes)


def pieces_of(selector: str) -> list[str]:
    """Returns the selectors of a list."""
    if not _NESTING.search(selector):
        return [piece for piece in map(str.strip, selector.split(",")) if piece]
    shown = _NESTED.sub(lambda m: "x" * len(m[0]), selector)
    at, found = 0, []
    for piece in shown.split(","):
        found.append(selector[at : at + len(piece)].strip())
        at += len(piece) + 1
    return [piece for piece in found if piece]


def _compounds(text: str) -> list[_Compound]:
    """Returns what the names of a selector are; `plain` ones say nothing else."""
    found: list[_Compound] = []
    kept: list[str] = []

    def shortened(nested: re.Match[str]) -> str:
        kept.append(nested[0])
        return f"[{len(kept) - 1}]" if nested[0][0] == "[" else ":"

    joint: str | None = " "
    for part in _JOINT.split(_NESTED.sub(shortened, text)):
        if part is None or part in (">", "+", "~"):
            joint = part or " "
            continue
        named = [_ATTRIBUTE.match(kept[int(n)]) for n in _KEPT.findall(part)]
        bare = _CONDITION.sub("", part)
        match = _COMPOUND.match(bare)
        tag = _ESCAPE.sub(r"\1", match[1] or "").lower() if match else ""
        marked = _MARKED.findall(match[2]) if match else []
        own = [_ESCAPE.sub(r"\1", name) for mark, name in marked if mark == "#"]
        classes = tuple(_ESCAPE.sub(r"\1", name) for mark, name in marked if mark == ".")
        whole = match is not None and match.end() == len(bare)
        plain = whole and bare == part and len(own) < 2
        cut = match is not None and bare[match.end() : match.end() + 1] in ("\\", "|")
        names = ("", "", ()) if cut else (tag.replace("*", ""), "".join(own[:1]), classes)
        attributes = tuple(a[1].lower() for a in named if a)
        plain = plain and joint in (" ", ">")
        found.append(_Compound(*names, joint or " ", plain, attributes))
    return found
