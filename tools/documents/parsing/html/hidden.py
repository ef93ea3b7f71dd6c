"""Finds the hidden elements of a web page: by attributes, styles and simple style sheets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

MAX_RULES = 3000
FAR = 900.0  # pixels outside of the page
TINY = 2.0  # points; smaller letters are not for reading
_COMMENT = re.compile(r"/\*.*?\*/", re.S)
_RULE = re.compile(r"([^{}@;]+)\{([^{}]*)\}")
_AT = re.compile(r"@(?!media\b)[\w-]+[^{};]*(?:;|\{(?:[^{}]|\{[^{}]*\})*\})", re.I)
_PRINT = re.compile(
    r"@media[^{]*\b(?:print|width|orientation)\b[^{]*\{(?:[^{}]|\{[^{}]*\})*\}", re.I
)
_WANTED = re.compile(
    r"display|visibility|opacity|font-size|text-indent|clip|position|left|top|right|bottom"
    r"|transform|color|background|width|height|overflow|content-visibility",
    re.I,
)
_STATES = re.compile(r":(?:hover|focus|active|before|after|target|checked|visited)", re.I)
_LENGTH = re.compile(r"([+-]?\d*\.?\d+)(px|pt|em|rem|vw|vh|%|cm|in|mm)?", re.I)
_PIXELS = {"px": 1, "pt": 1.33, "em": 16, "rem": 16, "vw": 10, "vh": 8, "cm": 38, "in": 96} | {
    "mm": 3.8,
    "%": 10,
}
_WHITE = re.compile(r"#fff(?:fff)?\b|\bwhite\b|rgba?\(\s*255\s*,\s*255\s*,\s*255", re.I)

Style = dict[str, str]


def hidden_elements(soup: BeautifulSoup) -> Iterator[tuple[Tag, str]]:
    """Yields the outermost elements that are not shown, with the way in which they are hidden."""
    sheets = _by_sheets(soup)
    for tag in elements(soup):
        style = sheets.get(id(tag), {})
        inline = str(tag.get("style") or "")
        if inline:
            style = {**style, **declarations(inline)}
        if tag.name == "font" and tag.get("color"):
            style = {"color": str(tag["color"]).lower(), **style}
        why = _by_attributes(tag) or (_why(style) if style else "")
        if not why and _WHITE.match(style.get("color", "")) and _on_bare_page(tag, sheets):
            why = "white on white"
        if why:
            yield tag, why


def elements(soup: BeautifulSoup) -> Iterator[Tag]:
    """Yields a page's elements, outer ones first; not those inside of what the caller takes out."""
    waiting: list[Any] = [soup]
    while waiting:
        node = waiting.pop()
        if node is not soup:
            yield node
        if node is soup or node.parent is not None:
            waiting.extend(n for n in reversed(node.contents) if not isinstance(n, str))


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
        style = {**sheets.get(id(around), {}), **declarations(str(around.get("style") or ""))}
        colours = [style.get("background-color", ""), style.get("background", "")]
        colours.append(str(around.get("bgcolor") or "").lower())
        if any(c and not _WHITE.match(c) for c in colours) or around.get("class"):
            return False
        if around.get("background"):
            return False
    return True


def declarations(text: str) -> Style:
    """Returns the declarations of a style that decide whether something is seen."""
    style: Style = {}
    for part in _COMMENT.sub("", text).split(";"):
        name, _, value = part.partition(":")
        name = name.strip().lower()
        if value and _WANTED.match(name):
            style[name] = value.replace("!important", "").strip().lower()
    return style


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
    if _pixels(get("text-indent", "")) <= -FAR:
        return True
    clip = get("clip", "").replace(" ", "")
    if re.match(r"rect\((?:0|1px)(?:px)?[, ]", get("clip", "")) or clip.startswith("rect(0"):
        return True
    if re.match(r"inset\((?:50|100)%", get("clip-path", "")):
        return True
    if get("position") in ("absolute", "fixed", "relative"):
        if any(abs(_pixels(get(side, ""))) >= FAR for side in ("left", "top", "right", "bottom")):
            return True
    if re.search(r"translate[xy]?\(\s*-?\d{4,}|scale\(\s*0\s*\)", get("transform", "")):
        return True
    small = [_pixels(get(side, "x"), 99) <= 1 for side in ("width", "height")]
    return any(small) and get("overflow", "").startswith(("hidden", "clip"))


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


def _by_sheets(soup: BeautifulSoup) -> dict[int, Style]:
    """Returns what the page's own style sheets say of its elements, by the elements' ids.

    Later rules win; how special a selector is, is not weighed. Sheets of other files are not read.
    """
    text = "\n".join(str(tag.string or "") for tag in soup.find_all("style"))
    text = _AT.sub("", _PRINT.sub("", _COMMENT.sub("", text)))
    found: dict[int, Style] = {}
    rules = 0
    for selector, body in _RULE.findall(text):
        style = declarations(body)
        if not style or _STATES.search(selector):
            continue
        rules += 1
        if rules > MAX_RULES:
            break
        for tag in _selected(soup, selector.strip()):
            found.setdefault(id(tag), {}).update(style)
    return found


def _selected(soup: BeautifulSoup, selector: str) -> list[Any]:
    try:
        return list(soup.select(selector, limit=20_000))
    except Exception:  # what the selector library does not know is not applied
        return []
