"""Formulas of answers, from TeX to what a face can show: MathML for pages, Unicode for terminals.

No script draws them: browsers know MathML. A formula that is not understood whole is not drawn;
its source then stays in the text unchanged.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from html import escape, unescape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_FORMULA = 3000  # characters; what a model writes is far below
_MAX_DEPTH = 40
# what latex2mathml knows under another name
_ALIASES = (("{aligned}", "{align*}"), ("{gathered}", "{gather*}"), ("{split}", "{align*}"))
_TAGS = frozenset(
    "math mrow mi mn mo mtext mspace msup msub msubsup munder mover munderover mfrac msqrt mroot "
    "mtable mtr mtd mstyle mpadded mphantom menclose mmultiscripts mprescripts none".split()
)
# neither addresses nor styles: a formula comes from a model
_ATTRIBUTES = frozenset(
    "display displaystyle scriptlevel mathvariant stretchy fence form separator lspace rspace "
    "width height depth linethickness columnalign rowspacing columnspacing columnlines rowlines "
    "notation accent accentunder movablelimits minsize maxsize symmetric largeop".split()
)
_VALUE = re.compile(r"[\w .%+-]{0,60}")


@lru_cache(maxsize=512)
def formula_as_mathml(tex: str, display: bool = False) -> str | None:
    """Returns a formula as a `<math>` element, or None if it is not understood whole."""
    tree = _formula_tree(tex, display)
    if tree is None:
        return None
    inner = "".join(_element_as_html(child) for child in tree)
    kind = ' display="block"' if display else ""
    return f'<math{kind} alttext="{escape(" ".join(tex.split()))}">{inner}</math>'


@lru_cache(maxsize=512)
def unicode_maths(tex: str) -> str | None:
    """Returns a formula in one line of Unicode, or None if it is not understood whole."""
    tree = _formula_tree(tex, False)
    return None if tree is None else " ".join(_element_as_line(tree).split())


def _formula_tree(tex: str, display: bool) -> Element | None:
    deepest = depth = 0
    for letter in tex:
        depth += (letter == "{") - (letter == "}")
        deepest = max(deepest, depth)
    if not tex.strip() or len(tex) > MAX_FORMULA or deepest > _MAX_DEPTH or depth:
        return None
    from latex2mathml.converter import convert_to_element

    for ours, theirs in _ALIASES:
        tex = tex.replace(ours, theirs)
    try:
        tree = convert_to_element(tex.strip(), display="block" if display else "inline")
    except Exception:  # the library raises whatever its parser meets: the source is shown then
        return None
    if display:
        _put_limits_below(tree)
    return tree if _understood(tree) else None


def _put_limits_below(tree: Element) -> None:
    """Sets limits of sums and of `lim` under and over them; the library knows scripts alone."""
    for element in tree.iter():
        placed = _LIMITS.get(element.tag)
        base = unescape(element[0].text or "") if placed and len(element) else ""
        if placed and element[0].tag in ("mo", "mi") and base in _WITH_LIMITS:
            element.tag = placed


def _understood(tree: Element) -> bool:
    for element in tree.iter():
        text = unescape(element.text or "")
        if element.tag not in _TAGS or (element.tag != "mtext" and ("\\" in text or "&" in text)):
            return False
    return True


def _element_as_html(element: Element) -> str:
    known = "".join(
        f' {name}="{value}"'
        for name, value in element.attrib.items()
        if name in _ATTRIBUTES and _VALUE.fullmatch(value)
    )
    inner = escape(unescape(element.text or "")) + "".join(
        _element_as_html(child) for child in element
    )
    return f"<{element.tag}{known}>{inner}</{element.tag}>"


_LIMITS = {"msub": "munder", "msup": "mover", "msubsup": "munderover"}
_WITH_LIMITS = frozenset(
    [*"∑∏∐⋃⋂⨁⨂⋁⋀", "lim", "max", "min", "sup", "inf", "limsup", "liminf", "argmax", "argmin"]
)


# -- one line of Unicode --------------------------------------------------------------------

_RAISED = dict(zip("0123456789+-=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ", strict=True)) | {"−": "⁻"}
_LOWERED = dict(
    zip("0123456789+-=()aeoxhklmnpstij", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₒₓₕₖₗₘₙₚₛₜᵢⱼ", strict=True)
) | {"−": "₋"}
_ACCENTS = {"^": "\u0302", "¯": "\u0304", "‾": "\u0304", "→": "\u20d7", "~": "\u0303"}
_LARGE = frozenset("∑∏∫∮⋃⋂")
_SPACED = frozenset("=<>≤≥≠≈≡→←⇒⇔∈∉⊂⊆∪∩+−×·±∓∼≪≫∝")


def _element_as_line(element: Element) -> str:
    text, parts = unescape(element.text or ""), [_element_as_line(child) for child in element]
    if element.tag == "mo":
        return f" {text} " if text in _SPACED else f"{text} " if text == "," else text
    if element.tag in ("mi", "mn", "mtext"):
        return text
    two, three = len(parts) == 2, len(parts) == 3
    shown = _FORMS.get(element.tag)
    if (
        shown is None
        or (element.tag in _OF_TWO and not two)
        or (element.tag in _OF_3 and not three)
    ):
        return "".join(parts)
    return shown(parts)


def _scripts(parts: list[str]) -> str:
    scripts = _in_script_letters(parts[1], _LOWERED, "_") + _in_script_letters(
        parts[2], _RAISED, "^"
    )
    return f"{parts[0]}{scripts}{' ' if parts[0] in _LARGE else ''}"


def _elements_as_row(parts: list[str]) -> str:
    return ", ".join(part for part in parts if part.strip()).replace(",  =", " =")


def _over(parts: list[str]) -> str:
    accent = _ACCENTS.get(parts[1].strip())
    return parts[0] + (accent or _in_script_letters(parts[1], _RAISED, "^"))


def _in_script_letters(text: str, letters: dict[str, str], sign: str) -> str:
    short = "".join(text.split())
    if short and all(letter in letters for letter in short):
        return "".join(letters[letter] for letter in short)
    return sign + (short if len(short) == 1 else f"({short})")


def _grouped(text: str) -> str:
    text = text.strip()
    simple = all(unicodedata.category(letter)[0] in "LN" for letter in text)
    return text if simple else f"({text})"


_OF_TWO = frozenset({"mfrac", "mroot", "msup", "msub", "mover", "munder"})
_OF_3 = frozenset({"msubsup", "munderover"})
_FORMS: dict[str, Callable[[list[str]], str]] = {
    "mspace": lambda parts: " ",
    "mfrac": lambda parts: f"{_grouped(parts[0])}/{_grouped(parts[1])}",
    "msqrt": lambda parts: f"√{_grouped(''.join(parts))}",
    "mroot": lambda parts: f"{_in_script_letters(parts[1], _RAISED, '')}√{_grouped(parts[0])}",
    "msup": lambda parts: parts[0] + _in_script_letters(parts[1], _RAISED, "^"),
    "msub": lambda parts: parts[0] + _in_script_letters(parts[1], _LOWERED, "_"),
    "mover": _over,
    "munder": lambda parts: parts[0] + _in_script_letters(parts[1], _LOWERED, "_"),
    "msubsup": _scripts,
    "munderover": _scripts,
    "mtable": "; ".join,
    "mtr": _elements_as_row,
}
