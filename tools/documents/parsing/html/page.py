"""The one reader of HTML: a page as a browser shows it; hidden parts are left out and noted.

Values that markup alone carries become text where they are: raised and lowered characters, values
of fields, alternative texts, numbers of lists, readings beside ruby, equations as LaTeX. Documents
make pages of the result (`html_blocks`), `web_fetch` makes Markdown.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qwenbelt.tools.documents.notes import noted
from qwenbelt.tools.documents.parsing.encodings import declared_encoding, decode
from qwenbelt.tools.documents.parsing.equations import latex_of_mathml
from qwenbelt.tools.documents.parsing.html.hidden import elements, hidden_elements, mark_raised
from qwenbelt.tools.documents.parsing.html.style_sheets import SheetReader
from qwenbelt.tools.documents.parsing.html.tree import PageTree, parsed
from qwenbelt.tools.documents.parsing.numbering import html_number
from qwenbelt.tools.documents.parsing.raised import lowered, raised

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

NOT_SHOWN = frozenset(
    "script style noscript template head title meta link datalist rp mjx-assistive-mml".split()
)
_MEDIA = {"iframe": "frame", "object": "object", "embed": "object", "video": "video"} | {
    "audio": "sound",
    "canvas": "drawing",
}
_PICTURES = ("svg", "img")
_FORM = frozenset("input textarea select option".split())
_VALUES = frozenset("text number email tel url search date time month week datetime-local".split())
_BUTTONS = frozenset("submit button reset".split())


Rewriter = Callable[["Tag", "HtmlPage"], "str | None"]


@dataclass(slots=True)
class HtmlPage:
    """A page as it is shown.

    Attributes:
        soup: the parsed page, changed to what it shows.
        title: the title that it gives itself, or "".
        notes: what was left out or guessed, one line each.
    """

    soup: BeautifulSoup
    title: str
    notes: list[str] = field(default_factory=list)


def html_page(data: bytes, charset: str = "") -> HtmlPage:
    """Returns the page of bytes.

    Args:
        data: the bytes.
        charset: the encoding that a server declares, if any.
    """
    text = decode(data, charset or declared_encoding(data))
    with _no_collection():
        tree = parsed(text.text)
    heading = next((tag for tag in tree.tags if tag.name == "title"), None)
    title = " ".join(heading.get_text().split()) if heading else ""
    page = HtmlPage(tree.soup, title, list(text.notes))
    if tree.has_tag_characters:
        _tell(page, noted("Hidden text was left out: invisible tag characters."))
    _drop_hidden(page, tree, "vertical-align" in text.text)
    _rewrite(page, tree)
    return page


@contextmanager
def _no_collection() -> Iterator[None]:
    """Holds the collector of garbage back: elements that are being made are all in use.

    Looking at them again and again took a sixth of the time.
    """
    held = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if held:
            gc.enable()


def _tell(page: HtmlPage, note: str) -> None:
    if note not in page.notes:
        page.notes.append(note)


def _drop_hidden(page: HtmlPage, tree: PageTree, is_raised: bool) -> None:
    ways: dict[str, int] = {}
    sheets = SheetReader(tree.tags)
    if is_raised:
        mark_raised(tree.tags, sheets.styles)
    if not sheets.complete:
        page.notes.append(noted("Style sheets were applied in part; hidden text may be left in."))
    for tag, why in hidden_elements(tree, sheets.styles):
        words = len(tag.get_text(" ").split())
        if words:
            ways[why] = ways.get(why, 0) + words
        tag.extract()
    for why, words in ways.items():
        page.notes.append(noted(f"Hidden text was left out ({why}): {words} words."))


def _rewrite(page: HtmlPage, tree: PageTree) -> None:
    """Turns elements whose meaning is not in their text into text."""
    pictures, end = 0, 0
    for number, tag in enumerate(tree.tags):
        if number < end:
            continue
        if tag.parent is not None:
            pictures += _rewritten(tag, page)
        if tag.parent is None:  # it and what is inside of it are not on the page any more
            end = tree.ends[number]
    if pictures:
        page.notes.append(noted(f"Pictures without a text were not read: {pictures}."))


def _rewritten(tag: Tag, page: HtmlPage) -> bool:
    """Turns one element into text, if it has a rule, or says that it is a picture without any."""
    name = tag.name
    if name in _REWRITERS:
        text = _REWRITERS[name](tag, page)
        if text is not None:
            tag.replace_with(text)
        return text is None and name in _PICTURES
    if name in ("del", "s", "strike"):
        _strike(tag)
    elif name == "ol":
        _number_items(tag)
    elif "class" in tag.attrs and "katex-html" in str(tag.attrs["class"]).split():
        tag.clear()
    return False


def _before(tag: Tag) -> str:
    """Returns what is before an element on its line."""
    parts: list[str] = []
    for node in tag.previous_elements:
        if isinstance(node, str):
            parts.insert(0, str(node))
            if len("".join(parts).split()) > 1 or len(parts) > 4:
                break
        elif getattr(node, "name", "") in ("p", "td", "th", "li", "br", "div", "tr"):
            break
    return " ".join("".join(parts).split("\n")).rstrip("\r\n")


def _sup(tag: Tag, page: HtmlPage) -> str:
    links = (n for n in elements(tag) if n.name == "a")
    linked = any(str(link.get("href") or "").startswith("#") for link in links)
    return raised(_before(tag), tag.get_text(), linked=linked)


def _math(tag: Tag, page: HtmlPage) -> str:
    note = tag.find("annotation", encoding=re.compile("tex", re.I))
    tex = note.get_text() if note else str(tag.get("alttext") or "")
    tex = " ".join(tex.split()) or latex_of_mathml(str(tag))
    if not tex:
        page.notes.append(noted("An equation could not be read; its bare characters are shown."))
        return tag.get_text(" ")
    return (
        f"${tex.removeprefix('{').removesuffix('}') if tex.startswith('{displaystyle') else tex}$"
    )


def _script(tag: Tag, page: HtmlPage) -> str | None:
    kind = str(tag.get("type") or "")
    return f"${tag.get_text().strip()}$" if kind.startswith("math/tex") else ""


def _mathjax(tag: Tag, page: HtmlPage) -> str | None:
    math = tag.find("math")
    return _math(math, page) if math is not None else None


def _ruby(tag: Tag, page: HtmlPage) -> str:
    """Returns the characters together, then how they are read: 漢字(かんじ)."""
    reading = "".join(rt.extract().get_text() for rt in tag.find_all("rt"))
    for parenthesis in tag.find_all("rp"):
        parenthesis.extract()
    return f"{tag.get_text()}({reading})" if reading.strip() else tag.get_text()


def _image(tag: Tag, page: HtmlPage) -> str | None:
    alt = " ".join(str(tag.get("alt") or "").split())
    if alt:
        return f"[image: {alt}]"
    return "" if "alt" in tag.attrs else None  # an empty one marks a decoration


def _drawing(tag: Tag, page: HtmlPage) -> str | None:
    words = " ".join(
        " ".join(t.get_text().split()) for t in tag.find_all(["text", "foreignobject"])
    )
    if words:
        return f" {words} "
    title = tag.find(["title", "desc"])
    label = str(tag.get("aria-label") or (title.get_text() if title else ""))
    return f"[image: {' '.join(label.split())}]" if label.strip() else None


def _media(tag: Tag, page: HtmlPage) -> str:
    what = _MEDIA[tag.name or ""]
    _tell(page, noted(f"Embedded content was not read: {what}."))
    return f" {tag.get_text(' ')} " if tag.name == "object" else ""


def _input(tag: Tag, page: HtmlPage) -> str:
    kind = str(tag.get("type") or "text").lower()
    value = str(tag.get("value") or "")
    if kind in ("checkbox", "radio"):
        return "☑ " if "checked" in tag.attrs else "☐ "
    if kind == "password" and value:
        page.notes.append(noted("The value of a password field was left out."))
        return ""
    if kind == "image":
        return f" [image: {tag.get('alt')}] " if tag.get("alt") else ""
    if kind in _BUTTONS or kind in _VALUES or kind in ("range", "color"):
        return f" {value} " if value else ""
    return ""


def _select(tag: Tag, page: HtmlPage) -> str:
    options = tag.find_all("option")
    chosen = [o for o in options if "selected" in o.attrs]
    if not chosen and "multiple" not in tag.attrs:
        chosen = options[:1]
    if len(chosen) < len(options):
        _tell(page, noted("Choices of form fields that are not chosen were left out."))
    return f" {'; '.join(' '.join(o.get_text().split()) for o in chosen)} "


def _strike(tag: Tag) -> None:
    if tag.get_text().strip():
        tag.insert(0, "~~")
        tag.append("~~")
        tag.name = "span"


def _number_items(tag: Tag) -> None:
    """Writes the numbers of an ordered list before its items."""
    items = tag.find_all("li", recursive=False)
    step = -1 if "reversed" in tag.attrs else 1
    number = _integer(tag.get("start"), len(items) if step < 0 else 1)
    kind = str(tag.get("type") or "1")
    for item in items:
        number = _integer(item.get("value"), number)
        item.insert(0, f"{html_number(number, kind)}. ")
        number += step


def _integer(value: Any, default: int) -> int:
    found = re.fullmatch(r"\s*([+-]?\d{1,9})\s*", str(value or ""))
    return int(found[1]) if found else default


_REWRITERS: dict[str, Rewriter] = {
    **dict.fromkeys(_MEDIA, _media),
    "sup": _sup,
    "sub": lambda tag, page: lowered(tag.get_text()),
    "math": _math,
    "ruby": _ruby,
    "img": _image,
    "svg": _drawing,
    "input": _input,
    "select": _select,
    "script": _script,
    "mjx-container": _mathjax,
}
