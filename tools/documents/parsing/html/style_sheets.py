"""What a web page's own style sheets say of its elements, as far as it decides what is seen.

Rules are applied to the elements that bear the last name of their selector (tag, class or id);
asking every element about every rule took 14 times as long as all other reading.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from qwenbelt.tools.documents.parsing.html.hiding_styles import Style, names_that_matter

if TYPE_CHECKING:
    from bs4 import Tag

MAX_RULES = 3000
MAX_LOOKS = 500_000  # at elements, for all rules
_COMMENT = re.compile(r"/\*.*?\*/", re.S)
_RULE = re.compile(r"([^{}@;]+)\{([^{}]*)\}")
_AT = re.compile(r"@(?!media\b)[\w-]+[^{};]*(?:;|\{(?:[^{}]|\{[^{}]*\})*\})", re.I)
_PRINT = re.compile(
    r"@media[^{]*\b(?:print|width|orientation)\b[^{]*\{(?:[^{}]|\{[^{}]*\})*\}", re.I
)
_WANTED = re.compile(
    r"display|visibility|opacity|font-size|text-indent|clip|position|left|top|right|bottom"
    r"|transform|color|background|(?:max-)?(?:width|height)|overflow|content-visibility"
    r"|vertical-align|margin-(?:left|top)",
    re.I,
)
_STATES = re.compile(  # of another moment or of a part; also names that one browser knows
    r":(?:hover|focus|active|before|after|target|checked|visited|[:-])", re.I
)

_Names = tuple[str, str, frozenset[str]]
_NAME = r"(?:[\w-]|[^\x00-\x7f]|\\[^\da-fA-F\n])+"
_COMPOUND = re.compile(rf"(\*|{_NAME})?((?:[.#]{_NAME})*)")
_MARKED = re.compile(rf"([.#])({_NAME})")
_ESCAPE = re.compile(r"\\(.)")
_NESTED = re.compile(r"\((?:[^()]|\([^()]*\))*\)|\[[^\]]*\]|\"[^\"]*\"|'[^']*'")
_JOINT = re.compile(r"\s*([>+~])\s*|\s+")
_ATTRIBUTE = re.compile(r"\[\s*([\w-]+)\s*(?:[~|^$*]?=|\])")
_KEPT = re.compile(r"\[(\d+)\]")
_CONDITION = re.compile(r"\[\d+\]|(?<!\\):[\w-]*:?")  # beside names; in `_compounds`' short form


def declarations(text: str) -> Style:
    """Returns the declarations of a style that decide whether something is seen."""
    style: Style = {}
    for part in _COMMENT.sub("", text).split(";"):
        name, _, value = part.partition(":")
        name = name.strip().lower()
        if value and _WANTED.match(name):
            style[name] = value.replace("!important", "").strip().lower()
    return style


declared = lru_cache(maxsize=2048)(declarations)  # of style attributes, which pages repeat


class _Compound(NamedTuple):
    """The names that an element must bear, and how the one before it lies: around it, or next."""

    tag: str
    own: str
    classes: tuple[str, ...]
    joint: str = " "
    plain: bool = True
    attributes: tuple[str, ...] = ()

    @property
    def rarest(self) -> tuple[str, str]:
        """The kind and the name that the fewest elements bear."""
        if self.own:
            return "id", self.own
        if self.classes:
            return "class", self.classes[-1]
        return ("tag", self.tag) if self.tag else ("", "")


class SheetReader:
    """Applies a page's style sheets.

    Later rules win; how special a selector is, is not weighed. Sheets of other files are not read.

    Attributes:
        styles: what they say of elements, by the elements' ids.
        complete: whether all rules were applied; there may be too many for a page of its size.
    """

    def __init__(self, tags: list[Tag]) -> None:
        self.styles: dict[int, Style] = {}
        self.complete = True
        self._looks = MAX_LOOKS
        self._names: dict[int, _Names] = {}
        self._bearers: dict[tuple[str, str], list[Tag]] = defaultdict(list)
        rules = _rules(tags)
        if rules:
            self._list_names(tags)
        for number, (selector, style) in enumerate(rules):
            if number >= MAX_RULES or self._looks <= 0:
                self.complete = False
                return
            for piece in _pieces(selector):
                for tag in self._selected(piece):
                    self.styles.setdefault(id(tag), {}).update(style)

    def _list_names(self, tags: list[Tag]) -> None:
        self._bearers["", ""] = tags
        for tag in tags:
            name, own = (tag.name or "").lower(), str(tag.get("id") or "")
            classes = frozenset(" ".join(tag.get_attribute_list("class")).split())
            self._names[id(tag)] = name, own, classes
            self._bearers["tag", name].append(tag)
            if own:
                self._bearers["id", own].append(tag)
            for word in classes:
                self._bearers["class", word].append(tag)

    def _selected(self, text: str) -> list[Tag]:
        compounds = _compounds(text)
        if not all(c.rarest in self._bearers for c in compounds):
            return []
        bearers = self._bearers[compounds[-1].rarest]
        known: dict[tuple[int, int], bool] = {}
        if all(c.joint in (" ", ">") for c in compounds):
            bearers = [t for t in bearers if self._fits(t, compounds, len(compounds) - 1, known)]
        if not bearers or all(c.plain for c in compounds):
            return bearers
        return self._selected_by_library(text, bearers)

    def _selected_by_library(self, text: str, bearers: list[Tag]) -> list[Tag]:
        import soupsieve

        self._looks -= 20 * len(bearers)  # the library looks at more than names
        if self._looks <= 0:
            return []
        try:
            selector = soupsieve.compile(text)
            return [tag for tag in bearers if selector.match(tag)]
        except Exception:  # what it does not know is not applied
            return []

    def _fits(
        self, tag: Tag, compounds: list[_Compound], at: int, known: dict[tuple[int, int], bool]
    ) -> bool:
        """Says whether an element bears a compound's names, and those around it what is before."""
        self._looks -= 1
        if self._looks <= 0 or not self._bears(tag, compounds[at]):
            return False
        if at == 0:
            return True
        if compounds[at].joint == ">":
            return tag.parent is not None and self._fits(tag.parent, compounds, at - 1, known)
        passed: list[tuple[int, int]] = []
        found = False
        for around in tag.parents:
            key = id(around), at
            if key in known:
                found = known[key]
                break
            passed.append(key)
            if self._bears(around, compounds[at - 1]):
                found = self._fits(around, compounds, at - 1, known)
                if found or at == 1 or compounds[at - 1].joint == " ":
                    break  # one further out fits no better
        self._looks -= len(passed)
        known.update(dict.fromkeys(passed, found))
        return found

    def _bears(self, tag: Tag, wanted: _Compound) -> bool:
        if id(tag) not in self._names:  # the document itself
            return False
        name, own, classes = self._names[id(tag)]
        if (wanted.tag and wanted.tag != name) or (wanted.own and wanted.own != own):
            return False
        if wanted.attributes and not all(tag.has_attr(a) for a in wanted.attributes):
            return False
        return not wanted.classes or classes.issuperset(wanted.classes)


def _rules(tags: list[Tag]) -> list[tuple[str, Style]]:
    text = "\n".join(str(tag.string or "") for tag in tags if tag.name == "style")
    text = _COMMENT.sub("", text)
    if "@" in text:
        text = _AT.sub("", _PRINT.sub("", text))
    found = [(selector.strip(), declarations(body)) for selector, body in _RULE.findall(text)]
    if not found:
        return []
    inline = [declared(str(tag.attrs["style"])) for tag in tags if tag.attrs.get("style")]
    inline += [{"color": str(t.attrs.get("color")).lower()} for t in tags if t.name == "font"]
    names = names_that_matter([*(style for _, style in found), *inline])
    found = [(s, {n: v for n, v in style.items() if n in names}) for s, style in found]
    return [(s, style) for s, style in found if style and not _STATES.search(s)]


def _pieces(selector: str) -> list[str]:
    """Returns the selectors of a list."""
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
