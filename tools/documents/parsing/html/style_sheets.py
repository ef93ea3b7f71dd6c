"""What a web page's own style sheets say of its elements, as far as it decides what is seen.

Most rules are about elements that the page does not have, or about looks: they are dropped before
anything else is asked of them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from qwenbelt.tools.documents.parsing.html.hiding_styles import Style, names_that_matter
from qwenbelt.tools.documents.parsing.html.selectors import Selectors, pieces_of

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
_ELSEWHERE = re.compile(r"\b(?:print|speech|width|orientation)\b|^\s*not\s+(?:all|screen)", re.I)
_WANTED = re.compile(
    r"display|visibility|opacity|font-size|text-indent|clip|position|left|top|right|bottom"
    r"|transform|color|background|(?:max-)?(?:width|height)|overflow|content-visibility"
    r"|vertical-align|margin-(?:left|top)",
    re.I,
)
_STATES = re.compile(  # of another moment or of a part; also names that one browser knows
    r":(?:hover|focus|active|before|after|target|checked|visited|[:-])", re.I
)


def declarations(text: str) -> Style:
    """Returns the declarations of a style that decide whether something is seen."""
    style: Style = {}
    for part in (_COMMENT.sub("", text) if "/*" in text else text).split(";"):
        name, _, value = part.partition(":")
        name = name.strip().lower()
        if value and _is_wanted(name):
            style[name] = value.replace("!important", "").strip().lower()
    return style


@lru_cache(maxsize=2048)
def _is_wanted(name: str) -> bool:
    return _WANTED.match(name) is not None


declared = lru_cache(maxsize=2048)(declarations)  # of style attributes, which pages repeat


class SheetReader:
    """Applies a page's style sheets.

    Later rules win; how special a selector is, is not weighed. Sheets of other files are not read.

    Attributes:
        styles: what they say of elements, by the elements' ids.
        complete: whether all rules were applied; there may be too many for a page of its size.
    """

    def __init__(self, tags: list[Tag]) -> None:
        """Applies the sheets of a page whose elements these are, in its order."""
        self.styles: dict[int, Style] = {}
        self.complete = True
        text = _rules_of(tags)
        if "{" not in text:
            return
        selectors = Selectors(tags, MAX_LOOKS)
        for number, (pieces, style) in enumerate(_that_matter(text, tags, selectors)):
            if number >= MAX_RULES or selectors.looks <= 0:
                self.complete = False
                return
            for piece in pieces:
                for tag in selectors.selected(piece):
                    self.styles.setdefault(id(tag), {}).update(style)


def _rules_of(tags: list[Tag]) -> str:
    """Returns the rules of a page that hold for a screen, without those that make conditions."""
    sheets = [tag for tag in tags if tag.name == "style" and _is_for_screens(tag)]
    text = "\n".join([str(tag.string or "") for tag in sheets])
    text = _COMMENT.sub("", text)
    return _AT.sub("", _PRINT.sub("", text)) if "@" in text else text


def _is_for_screens(sheet: Tag) -> bool:
    """Returns whether a sheet is for a screen of any size; print alone hides what screens show."""
    media = str(sheet.attrs.get("media") or "all")
    return any(not _ELSEWHERE.search(part) for part in media.split(","))


def _that_matter(text: str, tags: list[Tag], selectors: Selectors) -> list[tuple[list[str], Style]]:
    """Returns the rules that may be about an element and may hide or raise one."""
    found: list[tuple[list[str], Style]] = []
    for selector, body in _RULE.findall(text):
        pieces = [p for p in pieces_of(selector) if selectors.may_find(p)]
        if pieces and (style := declarations(body)) and not _STATES.search(selector):
            found.append((pieces, style))
    if not found:
        return []
    inline = [declared(str(tag.attrs["style"])) for tag in tags if tag.attrs.get("style")]
    inline += [{"color": str(t.attrs.get("color")).lower()} for t in tags if t.name == "font"]
    names = names_that_matter([*(style for _, style in found), *inline])
    found = [(p, {n: v for n, v in style.items() if n in names}) for p, style in found]
    return [(pieces, style) for pieces, style in found if style]
