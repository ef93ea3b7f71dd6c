"""Code as HTML, coloured by its parts; the text stays exactly what it was."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import lru_cache
from html import escape
from typing import Any

from qwenbelt.apps.gui.strings import say
from qwenbelt.core.errors import QwenbeltError
from qwenbelt.tools.diagrams import drawn_diagram, svg_size

MAX_COLOURED = 40_000  # characters; lexers are regular expressions over a stranger's text
MOST_DRAWN = 20  # diagrams of a page that runs no script
_MAX_DRAWN = 200_000
_MOST_SVG = 2_000_000
# the first that a token lies in: Pygments' names, our classes
_CLASSES = (
    ("Token.Comment", "c"),
    ("Token.Keyword", "k"),
    ("Token.Operator.Word", "k"),
    ("Token.Literal.String", "s"),
    ("Token.Literal.Number", "n"),
    ("Token.Name.Function", "f"),
    ("Token.Name.Class", "f"),
    ("Token.Name.Tag", "k"),
    ("Token.Name.Attribute", "f"),
    ("Token.Name.Builtin", "b"),
    ("Token.Name.Decorator", "b"),
    ("Token.Generic.Inserted", "s"),
    ("Token.Generic.Deleted", "d"),
    ("Token.Generic.Heading", "k"),
)


def diagram_drawer() -> Callable[[str], str | None]:
    """Returns what draws the diagrams of one page that runs no script, the first ones of many."""
    left = MOST_DRAWN

    def draw(source: str) -> str | None:
        nonlocal left
        left -= 1
        try:
            return drawn_diagram(source) if left >= 0 else None
        except QwenbeltError:  # its source stays
            return None

    return draw


def code_block(
    text: str,
    language: str,
    tongue: str,
    *,
    coloured: bool = True,
    draw: Callable[[str], str | None] = lambda source: None,
) -> str:
    """Returns a block of code with a button that copies it.

    Args:
        text: the code.
        language: as the fence names it.
        tongue: the language of the button, "en" or "zh".
        coloured: whether it is complete, so that it can be coloured.
        draw: draws a diagram at once, for pages in which no script asks for it.
    """
    name = escape(language[:30])
    copy = escape(say("copy", tongue))
    head = f"<span>{name}</span>" if name else "<span></span>"
    inner = _coloured_code(text, language.lower()) if coloured else escape(text)
    # drawn by the server in a process of its own, when the page asks for it
    is_diagram = coloured and language.lower() == "mermaid"
    drawn = draw(text) if is_diagram else None
    diagram = " data-diagram" if is_diagram and drawn is None else ""
    block = (
        f'<div class="qb-code"{diagram}><div class="qb-code-head">{head}'
        f'<button type="button" class="qb-copy">{copy}</button></div>'
        f'<pre tabindex="0"><code>{inner}</code></pre></div>'
    )
    if drawn is not None:
        width = f' style="width:{min(1600, round(svg_size(drawn)[0])) + 16}px"'
        summary = escape(say("diagram_source", tongue))
        return (
            f"{_svg_as_picture(drawn, tongue, width, _MOST_SVG)}"
            f'<details class="qb-source"><summary>{summary}</summary>{block}</details>'
        )
    return (
        _svg_as_picture(text, tongue) + block if coloured and language.lower() == "svg" else block
    )


def _svg_as_picture(text: str, tongue: str, more: str = "", most: int = _MAX_DRAWN) -> str:
    """Returns an SVG as a picture: there no script of it runs, and nothing is fetched for it."""
    if "<svg" not in text[:2000] or len(text) > most:
        return ""
    if 'xmlns="http://www.w3.org/2000/svg"' not in text:
        text = text.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    data = base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
    label = escape(say("drawing", tongue))
    return (
        '<button type="button" class="qb-enlarge"><img class="qb-figure qb-drawn" '
        f'src="data:image/svg+xml;base64,{data}" alt="{label}"{more}></button>'
    )


@lru_cache(maxsize=128)
def _coloured_code(text: str, language: str) -> str:
    lexer = _lexer(language) if language and len(text) <= MAX_COLOURED else None
    if lexer is None:
        return escape(text)
    try:
        tokens = [(_css_class(str(kind)), value) for kind, value in lexer.get_tokens(text)]
    except Exception:  # a lexer that fails on a stranger's text: it is shown without colours
        return escape(text)
    if "".join(value for _, value in tokens) != text:
        return escape(text)
    return "".join(
        f'<span class="qb-{kind}">{escape(value)}</span>' if kind else escape(value)
        for kind, value in tokens
    )


@lru_cache(maxsize=64)
def _lexer(language: str) -> Any:
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


@lru_cache(maxsize=512)
def _css_class(kind: str) -> str:
    return next((ours for theirs, ours in _CLASSES if kind.startswith(theirs)), "")
