"""Finds the hidden elements of a web page: by attributes, styles and simple style sheets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from qwenbelt.tools.documents.parsing.html.style_sheets import Style, declared

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

FAR = 900.0  # pixels outside of the page
TINY = 2.0  # points; smaller letters are not for reading
_LENGTH = re.compile(r"([+-]?\d*\.?\d+)(px|pt|em|rem|vw|vh|%|cm|in|mm)?", re.I)
_PIXELS = {"px": 1, "pt": 1.33, "em": 16, "rem": 16, "vw": 10, "vh": 8, "cm": 38, "in": 96} | {
    "mm": 3.8,
    "%": 10,
}
_SIDES = ("width", "height", "max-width", "max-height")
_CLIPPED = re.compile(r"rect\((?:0|1px)")
_MOVED_AWAY = re.compile(r"translate[xy]?\(\s*-?\d{4,}|scale\(\s*0\s*\)")
_WHITE = re.compile(r"#fff(?:fff)?\b|\bwhite\b|rgba?\(\s*255\s*,\s*255\s*,\s*255", re.I)


def hidden_elements(soup: BeautifulSoup, sheets: dict[int, Style]) -> Iterator[tuple[Tag, str]]:
    """Yields the outermost elements that are not shown, with the way in which they are hidden.

    Args:
        soup: the page.
        sheets: what style sheets say of its elements, by the elements' ids.
    """
    for tag in elements(soup):
        style = sheets.get(id(tag), {}) if sheets else {}
        attributes = tag.attrs
        if not style and not attributes and tag.name != "dialog":
            continue
        inline = str(attributes.get("style") or "")
        if inline and style:
            style = {**style, **declared(inline)}
        elif inline:
            style = declared(inline)
        if tag.name == "font" and attributes.get("color"):
            style = {"color": str(attributes["color"]).lower(), **style}
        why = _by_attributes(tag) or (_why(style) if style else "")
        if not why and _WHITE.match(style.get("color", "")) and _on_bare_page(tag, sheets):
            why = "white on white"
        if why:
            yield tag, why


def elements(soup: Tag) -> Iterator[Tag]:
    """Yields a page's elements, outer ones first; not those inside of what the caller takes out."""
    waiting: list[Any] = [soup]
    while waiting:
        node = waiting.pop()
        if node is not soup:
            yield node
        if node is soup or node.parent is not None:
            waiting.extend([n for n in reversed(node.contents) if not isinstance(n, str)])


def _by_attributes(tag: Tag) -> str:
    if "hidden" in tag.attrs and str(tag.get("hidden")).lower() != "until-found":
        return "hidden"
    if tag.name == "dialog" and "open" not in tag.attrs:
        return "closed dialog"
    if tag.name == "input" and str(tag.get("type")).lower() == "hidden":
        return "hidden"
    return ""


def _on_bare_page(tag: Tag, sheets: dict[int, Style]) -> bool:
    """Whether nothing around an element may have given the page another colour than white."""
    for around in (tag, *tag.parents):
        style = {**sheets.get(id(around), {}), **declared(str(around.get("style") or ""))}
        colours = [style.get("background-color", ""), style.get("background", "")]
        colours.append(str(around.get("bgcolor") or "").lower())
        if any(c and not _WHITE.match(c) for c in colours) or around.get("class"):
            return False
        if around.get("background"):
            return False
    return True


def _why(style: Style) -> str:
    get = style.get
    if get("display") == "none":
        return "display:none"
    if get("visibility") in ("hidden", "collapse") or get("content-visibility") == "hidden":
        return "visibility:hidden"
    if "opacity" in style and _number(style["opacity"]) <= 0.01:
        return "opacity:0"
    size = get("font-size")
    if size and size[:1].isdigit() and not size.endswith("%") and _pixels(size) < TINY:
        return "tiny letters"
    if _is_off_screen(style):
        return "off-screen"
    return "white on white" if _is_white_on_white(style) else ""


def _is_off_screen(style: Style) -> bool:
    get = style.get
    if "text-indent" in style and _pixels(style["text-indent"]) <= -FAR:
        return True
    if "clip" in style and _CLIPPED.match(style["clip"].replace(" ", "")):
        return True
    if "clip-path" in style and re.match(r"inset\((?:50|100)%", style["clip-path"]):
        return True
    if get("position") in ("absolute", "fixed", "relative"):
        if any(abs(_pixels(get(side, ""))) >= FAR for side in ("left", "top", "right", "bottom")):
            return True
    if "transform" in style and _MOVED_AWAY.search(style["transform"]):
        return True
    if not get("overflow", "").startswith(("hidden", "clip")):
        return False
    return any(_pixels(get(side, "x"), 99) <= 1 for side in _SIDES)


def _is_white_on_white(style: Style) -> bool:
    color, behind = (
        style.get("color", ""),
        style.get("background-color", style.get("background", "")),
    )
    if color == "transparent" or re.match(r"rgba\(.*,\s*0(?:\.0+)?\s*\)", color):
        return "background" not in style and "background-clip" not in style
    if not color:
        return False
    if behind:
        return color == behind or bool(_WHITE.fullmatch(color) and _WHITE.fullmatch(behind))
    return False


def _number(text: str) -> float:
    found = _LENGTH.match(text.strip())
    if not found:
        return 1.0
    return float(found[1]) / (100 if found[2] == "%" else 1)


def _pixels(text: str, default: float = 0.0) -> float:
    found = _LENGTH.match(text.strip())
    return float(found[1]) * _PIXELS.get((found[2] or "px").lower(), 1) if found else default
