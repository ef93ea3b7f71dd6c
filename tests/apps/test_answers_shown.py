"""What answers hold beyond plain Markdown, as a page and as a terminal show it."""

from __future__ import annotations

import io
import re
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from qwenbelt.apps.gui.drawing.found_passages import FoundPassages
from qwenbelt.apps.gui.drawing.safe_html import RenderContext, last_level, markdown_html
from qwenbelt.apps.gui.drawing.turn_view import TurnView
from qwenbelt.apps.maths import formula_as_mathml, unicode_maths
from qwenbelt.apps.terminal_chat.terminal_markdown import terminal_markdown


def page(text: str) -> str:
    return markdown_html(text, RenderContext())


def words(html: str) -> str:
    """Returns what a person reads of HTML."""
    return unescape(re.sub(r"<[^>]*>", "", html))


def terminal(text: str) -> str:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(terminal_markdown(text))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("$E = mc^2$ and \\(\\alpha + \\beta\\)", 2),
        ("$$\n\\int_0^1 x\\,dx\n+ 1\n- 2\n$$", 1),
        ("and \\[ \\sum_{i=1}^n i \\] so", 1),
        ("\\[\nx = 1\n\\]", 1),
        ("公式$x^2$是平方，而\\(y\\)不是。", 2),
        ("($n$), $x$-axis, **$k$**; $\\text{速度} = 5$.", 4),
        ("$$\\begin{aligned}a&=b\\\\c&=d\\end{aligned}$$", 1),
        ("- item $a_1$\n- item $b_2$", 2),
        ("| $a$ | b |\n|---|---|\n| $c$ | d |", 2),
    ],
)
def test_formulas_are_drawn(text: str, count: int) -> None:
    html = page(text)
    assert html.count("<math") == count
    assert not re.search(r"[$\\]", words(html)), html


@pytest.mark.parametrize(
    "text",
    [
        "The ticket costs $5 and the meal $10.",
        "US$5-$10, HK$3, A$4",
        "It is 5$, 6$ and 7$.",
        "set $HOME and $PATH",
        "between $5 and 10$ a day",
        "$ 5 $",
        "a lone $",
    ],
)
def test_money_is_no_formula(text: str) -> None:
    assert "<math" not in page(text)
    assert words(page(text)).strip() == text
    assert terminal(text).strip() == text


@pytest.mark.parametrize(
    "text", ["$\\foo{x}$", "\\(\\frac{1}{\\)", "\\[ \\nosuch \\]", "$$\n\\oops x\n$$"]
)
def test_a_formula_that_is_not_understood_stands_there_as_written(text: str) -> None:
    assert words(page(text)).strip() == text
    assert "".join(text.split()) in "".join(terminal(text).split())


@given(st.text(alphabet="ab12{}^_\\ $fracsqrt&()+=", max_size=60))
def test_any_formula_is_drawn_whole_or_not_at_all(tex: str) -> None:
    for drawn in (formula_as_mathml(tex), formula_as_mathml(tex, True)):
        if drawn is not None:
            assert "\\" not in words(drawn)
            _Balanced().feed(drawn)
    unicode_maths(tex)


class _Balanced(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    ("tex", "line"),
    [
        ("E = mc^2", "E = mc²"),
        (r"\int_0^1 \sqrt{x}\,dx", "∫₀¹ √x dx"),
        (r"\frac{a}{b+1} \le x_i", "a/(b + 1) ≤ xᵢ"),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "(1, 2; 3, 4)"),
        (r"\hat{y}", "y\u0302"),
    ],
)
def test_a_terminal_shows_formulas_in_unicode(tex: str, line: str) -> None:
    assert unicode_maths(tex) == line
    assert line in terminal(f"so ${tex}$ it is")


def test_limits_stand_below_a_sum_of_its_own_line() -> None:
    tex = r"\lim_{n\to\infty} \sum_{k=1}^n x_k + \int_0^1 f + \max_x"
    alone = formula_as_mathml(tex, True) or ""
    assert "<munder><mo>lim</mo>" in alone
    assert "<munderover><mo>∑</mo>" in alone
    assert "<msub><mi>x</mi>" in alone
    assert "<msubsup><mo>∫</mo>" in alone
    assert "munder" not in (formula_as_mathml(tex, False) or "")


def test_tasks_footnotes_and_bare_addresses() -> None:
    text = (
        "- [x] done\n- [ ] open\n\nSo[^1], see https://example.com/a_b_c. "
        "见（https://example.com/x）。\n\n[^1]: The *note*.\n"
    )
    html = page(text)
    assert html.count('class="qb-task ticked"') == 1
    assert html.count('class="qb-task"') == 1
    assert "[x]" not in words(html)
    assert "[^1]" not in words(html)
    assert '<a href="#qb-note-1">1</a>' in html
    assert 'id="qb-note-1"' in html
    assert "The <em>note</em>." in html
    assert 'href="https://example.com/a_b_c"' in html
    assert 'href="https://example.com/x"' in html
    seen = terminal(text)
    for part in ("☑ done", "☐ open", "So[1]", "[1] The note."):
        assert part in seen


def test_code_is_coloured_and_stays_what_it_was() -> None:
    code = "def f(x):\n    return '<b>' + str(12)  # done\n\n\n"
    html = page(f"```python\n{code}```\n")
    inner = re.search(r"<code>(.*)</code>", html, re.DOTALL)
    assert inner is not None
    assert words(inner[1]) == code
    for kind in "ksncf":
        assert f'class="qb-{kind}"' in html
    assert "<span" not in page("```nosuch\nx = 1\n```").partition("<code>")[2]


def test_headings_leave_no_level_out() -> None:
    html = page("### a\n\n###### b\n\n# c\n\n## d\n")
    levels = [last_level(heading, 0) for heading in re.findall(r"<h[^>]*>", html)]
    assert levels == [1, 2, 1, 2]
    view = TurnView("t", RenderContext())
    view.feed({"event": "text", "text": "# a\n\n### b\n\n"})
    assert '<h3 aria-level="2">b</h3>' in str(view.flush(0.0))


def test_a_number_cites_the_passage_most_like_the_sentence() -> None:
    found = FoundPassages(lambda name: name.endswith(".pdf"))
    found.add("[1] coal.pdf p.2\nCoal burns hot.\n[2] coal.pdf p.3\nMore.")
    found.add("[1] wind.pdf p.9\nWind blows over hills. 风吹过山")
    found.add("[1] x.txt p.1\nnone")
    assert found.find(1, "As the report says, coal burns hot") == ("coal.pdf", 2)
    assert found.find(1, "The wind blows") == ("wind.pdf", 9)
    assert found.find(1, "风吹过山") == ("wind.pdf", 9)
    assert found.find(7, "coal") is None


@given(
    st.lists(
        st.lists(st.text("abcdefgh ", min_size=1, max_size=18), min_size=3, max_size=3),
        min_size=1,
        max_size=4,
    ),
    st.integers(24, 100),
)
def test_no_word_of_a_table_is_broken(rows: list[list[str]], width: int) -> None:
    lines = ["| Name | Value | Remark |", "|---|--:|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(terminal_markdown("\n".join(lines)))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, shown.splitlines())) <= width
    seen = shown.split()
    for word in {word for row in rows for cell in row for word in cell.split()}:
        assert word in seen
