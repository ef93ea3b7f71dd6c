"""Text of Word's paragraphs: runs and their formatting, fields, symbols, equations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from qwenbelt.tools.documents.parsing.equations import latex_of_omml
from qwenbelt.tools.documents.parsing.raised import lowered, raised

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
V = "{urn:schemas-microsoft-com:vml}"
MAX_DEPTH = 60
_PAGE = "\f"
_SIMPLE = {"tab": "\t", "ptab": "\t", "cr": "\n", "noBreakHyphen": "-"} | {
    "lastRenderedPageBreak": _PAGE
}
_TINY = 4  # half points
_WINGDINGS = {0x6F: "☐", 0xA8: "☐", 0x71: "☐", 0xFE: "☑", 0x78: "☒", 0x76: "❖", 0xFD: "☒"} | {
    0xFC: "✓",
    0xFB: "✗",
    0x52: "☑",
    0x53: "☒",
    0xA3: "☐",
    0xA7: "▪",
    0xE0: "→",
    0xDF: "←",
    0xE8: "➔",
    0x6C: "●",
    0x6E: "■",
    0x4A: "☺",
    0x4C: "☹",
}
_SYMBOL = dict(
    zip(
        range(0x61, 0x7B),
        "αβχδεφγηιϕκλμνοπθρστυϖωξψζ",
        strict=True,
    )
) | dict(zip(range(0x41, 0x5B), "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ", strict=True))
_SYMBOL |= {0xA3: "≤", 0xB3: "≥", 0xB1: "±", 0xB4: "×", 0xB7: "•", 0xB8: "÷", 0xB9: "≠"} | {
    0xA5: "∞",
    0xAE: "→",
    0xAC: "←",
    0xB0: "°",
    0xBB: "≈",
    0xD6: "√",
    0xE5: "∑",
    0xF2: "∫",
    0xB6: "∂",
    0xD1: "∇",
    0xB2: "″",
    0xA2: "′",
}


_MOVED = 4  # half points from the line; less is looks
_SHORT = 7  # characters; more is no mark


def style_heights(styles: Any) -> dict[str, str]:
    """Returns which styles of characters raise or lower, themselves or by what they come from."""
    own: dict[str, str] = {}
    based: dict[str, str] = {}
    for style in styles.iterfind(f"{W}style") if styles is not None else ():
        name = style.get(f"{W}styleId", "")
        align = style.find(f"{W}rPr/{W}vertAlign")
        base = style.find(f"{W}basedOn")
        if align is not None:
            own[name] = align.get(f"{W}val", "")
        elif base is not None:
            based[name] = base.get(f"{W}val", "")
    for name, base in based.items():
        seen = {name}
        while base in based and base not in seen:
            seen.add(base)
            base = based[base]
        if base in own:
            own[name] = own[base]
    return own


@dataclass(slots=True)
class WordText:
    """What a paragraph gives beside its text.

    Attributes:
        boxes: bodies of text boxes in it.
        drawings: elements of charts, diagrams and pictures in it.
        comments: ids of comments that end in it.
        notes: kind ("footnote" or "endnote") and id of notes that it refers to, in order.
        hidden: words that are not shown.
        deleted: words of tracked deletions.
        numbers: gives the number of a note by its kind and id.
        heights: "superscript" or "subscript" by the id of the style of characters that says so.
    """

    boxes: list[Any] = field(default_factory=list)
    drawings: list[Any] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    hidden: int = 0
    deleted: int = 0
    numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    heights: dict[str, str] = field(default_factory=dict)

    def of(self, paragraph: Any) -> str:
        """Returns the text of a paragraph; a form feed is where a page ends."""
        parts: list[str] = []
        for node in self._pieces(paragraph, 0):
            parts.append(self._piece(node, parts))
        return "".join(parts)

    def _pieces(self, parent: Any, depth: int) -> Iterator[Any]:
        """Yields runs, equations and the like; of alternatives the one that is shown."""
        for node in parent:
            name = _local(node)
            if name in ("del", "moveFrom"):
                self.deleted += len("".join(t.text or "" for t in node.iter(f"{W}delText")).split())
            elif name in ("r", "oMath", "ruby", "commentReference"):
                yield node
            elif name == "AlternateContent":
                yield from self._pieces(_choice(node), depth + 1)
            elif name not in ("pPr", "rPr", "sdtPr", "sdtEndPr", "Fallback") and depth < MAX_DEPTH:
                yield from self._pieces(node, depth + 1)

    def _piece(self, node: Any, parts: list[str]) -> str:
        name = _local(node)
        if name == "oMath":
            return f"${latex_of_omml(node)}$"
        if name != "r":
            return ""
        text = "".join(self._in_run(child) for child in node)
        properties = node.find(f"{W}rPr")
        if properties is None or not text.strip():
            return text
        if _is_hidden(properties):
            self.hidden += len(text.split())
            return ""
        how = self._height(properties, text)
        if how == "superscript" and not text.startswith("["):
            return raised("".join(parts[-3:]), text)
        if how == "subscript":
            return lowered(text)
        struck = any(_on(properties.find(f"{W}{tag}")) for tag in ("strike", "dstrike"))
        return f"~~{text}~~" if struck else text

    def _height(self, properties: Any, text: str) -> str:
        """Returns "superscript", "subscript" or another word: by itself, a style, or its place."""
        align = properties.find(f"{W}vertAlign")
        if align is not None:
            return str(align.get(f"{W}val", ""))
        place = properties.find(f"{W}position")
        moved = place.get(f"{W}val", "") if place is not None else ""
        if re.fullmatch(r"-?\d{1,4}", moved) and abs(int(moved)) >= _MOVED and len(text) < _SHORT:
            return "superscript" if int(moved) > 0 else "subscript"
        style = properties.find(f"{W}rStyle")
        return self.heights.get(style.get(f"{W}val", ""), "") if style is not None else ""

    def _in_run(self, node: Any) -> str:
        name = _local(node)
        if name in _SIMPLE:
            return _SIMPLE[name]
        if name == "t":
            return node.text or ""
        if name == "br":
            return _PAGE if node.get(f"{W}type") == "page" else "\n"
        if name in ("footnoteReference", "endnoteReference"):
            return self._reference(name.removesuffix("Reference"), node)
        if name == "AlternateContent":
            return "".join(self._in_run(child) for child in _choice(node))
        if name == "commentReference":
            self.comments.append(node.get(f"{W}id", ""))
        elif name in ("drawing", "pict", "object"):
            self._drawing(node)
        reader = {"sym": _symbol, "ruby": _ruby, "fldChar": _form_field}.get(name)
        return reader(node) if reader is not None else ""

    def _reference(self, kind: str, node: Any) -> str:
        key = (kind, node.get(f"{W}id", ""))
        self.notes.append(key)
        number = self.numbers.setdefault(key, len(self.numbers) + 1)
        return f"[{number}]"

    def _drawing(self, node: Any) -> None:
        bodies = [b for b in node.iter(f"{W}txbxContent") if not _inside_fallback(b, node)]
        outer = [b for b in bodies if not any(a in bodies for a in b.iterancestors())]
        self.boxes += outer
        if not outer:
            self.drawings.append(node)


def _local(node: Any) -> str:
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def _choice(node: Any) -> Any:
    """Returns the alternative that newer programs show."""
    choice = node.find(f"{MC}Choice")
    fallback = node.find(f"{MC}Fallback")
    return (
        choice if choice is not None and len(choice) else fallback if fallback is not None else ()
    )


def _inside_fallback(node: Any, root: Any) -> bool:
    for parent in node.iterancestors():
        if parent is root:
            return False
        if parent.tag == f"{MC}Fallback" and parent.getparent().find(f"{MC}Choice") is not None:
            return True
    return False


def _on(node: Any) -> bool:
    return node is not None and node.get(f"{W}val", "true") not in ("0", "false", "off", "none")


def _is_hidden(properties: Any) -> bool:
    """Returns whether a run is not shown: hidden, white without a ground, or too small to read."""
    if _on(properties.find(f"{W}vanish")) or _on(properties.find(f"{W}webHidden")):
        return True
    size = properties.find(f"{W}sz")
    if size is not None and size.get(f"{W}val", "").isdigit() and int(size.get(f"{W}val")) < _TINY:
        return True
    color = properties.find(f"{W}color")
    if color is None or color.get(f"{W}val", "").upper() != "FFFFFF":
        return False
    grounds = [properties.find(f"{W}shd"), properties.find(f"{W}highlight")]
    styled = properties.find(f"{W}rStyle") is not None
    return not styled and all(g is None for g in grounds) and not _on_a_ground(properties)


def _on_a_ground(properties: Any) -> bool:
    for parent in properties.iterancestors():
        if parent.tag in (f"{W}p", f"{W}tc", f"{W}tbl"):
            kind = {"p": "pPr", "tc": "tcPr", "tbl": "tblPr"}[_local(parent)]
            own = parent.find(f"{W}{kind}")
            if own is not None and (own.find(f"{W}shd") is not None or kind == "tblPr"):
                return True
            if own is not None and own.find(f"{W}pStyle") is not None:
                return True
        elif parent.tag == f"{W}txbxContent":
            return True  # a box may be filled
    return False


def _ruby(node: Any) -> str:
    base, reading = (
        "".join(t.text or "" for part in node.iter(f"{W}{tag}") for t in part.iter(f"{W}t"))
        for tag in ("rubyBase", "rt")
    )
    return f"{base}({reading})" if reading.strip() else base


def _symbol(node: Any) -> str:
    font, code = node.get(f"{W}font", ""), node.get(f"{W}char", "")
    if not re.fullmatch(r"[0-9A-Fa-f]{1,6}", code):
        return ""
    number = int(code, 16)
    number = number - 0xF000 if 0xF000 <= number <= 0xF0FF else number
    table = (
        _WINGDINGS if "wingdings" in font.lower() else _SYMBOL if "symbol" in font.lower() else {}
    )
    if number in table:
        return table[number]
    return chr(number) if table is _SYMBOL or not table else "▪"


def _form_field(node: Any) -> str:
    """Returns what a field of the old forms shows that is not in its result."""
    box = node.find(f"{W}ffData/{W}checkBox")
    if box is not None:
        checked, default = box.find(f"{W}checked"), box.find(f"{W}default")
        return "☑" if _on(checked if checked is not None else default) else "☐"
    choices = node.find(f"{W}ffData/{W}ddList")
    if choices is not None:
        entries = [e.get(f"{W}val", "") for e in choices.iterfind(f"{W}listEntry")]
        result = choices.find(f"{W}result")
        at = result.get(f"{W}val", "0") if result is not None else "0"
        return entries[int(at)] if at.isdigit() and int(at) < len(entries) else ""
    return ""
