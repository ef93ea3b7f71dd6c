"""Finds the hidden elements of a web page: by attributes, styles and simple style sheets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from qwenbelt.tools.documents.parsing.html.hiding_styles import WHITE, Style, how_hidden
from qwenbelt.tools.documents.parsing.html.style_sheets import declared

if TYPE_CHECKING:
    from bs4 import Tag

    from qwenbelt.tools.documents.parsing.html.tree import PageTree

_INLINE = frozenset("span a small font b i em strong big".split())
_MAY_HIDE = frozenset(("font", "dialog", "input"))  # by what else they bear than style


def hidden_elements(tree: PageTree, sheets: dict[int, Style]) -> Iterator[tuple[Tag, str]]:
    """Yields the outermost elements that are not shown, with the way in which they are hidden.

    Args:
        tree: the page.
        sheets: what style sheets say of its elements, by the elements' ids.
    """
    end = 0
    for number, tag in enumerate(tree.tags):
        if number < end:
            continue  # inside of a hidden one
        attributes = tag.attrs
        if (
            "style" in attributes
            or "hidden" in attributes
            or tag.name in _MAY_HIDE
            or (sheets and id(tag) in sheets)
        ):
            why = _why_hidden(tag, sheets)
            if why:
                end = tree.ends[number]
                yield tag, why


def _why_hidden(tag: Tag, sheets: dict[int, Style]) -> str:
    style = sheets.get(id(tag), {}) if sheets else {}
    attributes = tag.attrs
    inline = str(attributes.get("style") or "")
    inline_style = declared(inline)
    if inline_style:
        style = {**style, **inline_style} if style else inline_style
    if tag.name == "font" and attributes.get("color"):
        style = {"color": str(attributes["color"]).lower(), **style}
    why = _by_attributes(tag)
    if not why and style:
        why = how_hidden(style) if style is not inline_style else _why_inline(inline)
    if not why and WHITE.match(style.get("color", "")) and _on_bare_page(tag, sheets):
        why = "white on white"
    return why


def mark_raised(tags: Iterable[Tag], sheets: dict[int, Style]) -> None:
    """Makes `sup` and `sub` of the elements that styles raise or lower."""
    for tag in tags:
        own = declared(str(tag.attrs.get("style") or ""))
        height = {**sheets.get(id(tag), {}), **own}.get("vertical-align", "")
        if height in ("super", "sub") and tag.name in _INLINE:
            tag.name = "sup" if height == "super" else "sub"


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
        if any(c and not WHITE.match(c) for c in colours) or around.get("class"):
            return False
        if around.get("background"):
            return False
    return True


@lru_cache(maxsize=2048)
def _why_inline(text: str) -> str:
    """Returns how a style attribute hides its element, if it does; pages repeat them."""
    return how_hidden(declared(text))
