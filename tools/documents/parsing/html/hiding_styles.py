"""Which declarations of styles hide what they are about."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Style = dict[str, str]

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
WHITE = re.compile(r"#fff(?:fff)?\b|\bwhite\b|rgba?\(\s*255\s*,\s*255\s*,\s*255", re.I)


def how_hidden(style: Style) -> str:
    """Returns how a style hides what it is about, or ""."""
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
    if any(_pixels(get(side, "")) <= -FAR for side in ("margin-left", "margin-top")):
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
        return color == behind or bool(WHITE.fullmatch(color) and WHITE.fullmatch(behind))
    return False


def _number(text: str) -> float:
    found = _LENGTH.match(text.strip())
    if not found:
        return 1.0
    return float(found[1]) / (100 if found[2] == "%" else 1)


def _pixels(text: str, default: float = 0.0) -> float:
    found = _LENGTH.match(text.strip())
    return float(found[1]) * _PIXELS.get((found[2] or "px").lower(), 1) if found else default


_TRANSPARENT = re.compile(r"transparent|rgba\(")
_DISTANCES = ("left", "top", "right", "bottom")
_GROUPS: tuple[tuple[str, tuple[str, ...], Callable[[str], bool]], ...] = (
    ("position", _DISTANCES, lambda value: abs(_pixels(value)) >= FAR),
    ("overflow", _SIDES, lambda value: _pixels(value, 99) <= 1),
)


def names_that_matter(styles: Sequence[Style]) -> frozenset[str]:
    """Returns the names of declarations by which some of a page's styles may hide something.

    Where no style moves anything far away, places need not be known, and so on: most rules of a
    sheet are about looks.
    """
    found = {"vertical-align"}
    values: dict[str, set[str]] = {}
    for style in styles:
        for name, value in style.items():
            values.setdefault(name, set()).add(value)
    for name, given in values.items():
        if any(how_hidden({name: value}) for value in given):
            found.add(name)
    for beside, names, hides in _GROUPS:
        if any(hides(value) for name in names for value in values.get(name, ())):
            found.update((*names, beside))
    behind = values.get("background-color", set()) | values.get("background", set())
    colours = values.get("color", set())
    if any(WHITE.match(c) or _TRANSPARENT.match(c) or c in behind for c in colours):
        found.update(name for name in values if name == "color" or name.startswith("background"))
    return frozenset(found)
