"""Style sheets of web pages: rules find the elements that a browser's would, at a bounded cost."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.tools.documents.parsing.html import style_sheets
from qwenbelt.tools.documents.parsing.html.hidden import elements
from qwenbelt.tools.documents.parsing.html.page import html_page
from qwenbelt.tools.documents.parsing.html.style_sheets import SheetReader

PAGE = """<html><body id="top" class="a"><div class="a b"><p class="c md:x">1</p><p>2</p></div>
<ul id="l"><li class="a">3<ul><li class="c">4<span id="s" class="b">5</span></li></ul></li></ul>
<section><div><div class="b"><p class="a c">6</p></div></div></section></body></html>"""

NAMES = st.sampled_from(["*", "p", "div", "li", "ul", "LI", ".a", ".b", ".c", "#l", "#s", "div.b"])
ODD = st.sampled_from(
    [
        "[ID]",
        "p.a:first-child",
        "#s:not(.a)",
        "*[class~=b]",
        ".a.c",
        r".md\:x",
        "p:first-child",
        "[id]",
        ":is(.a, .b)",
        "li:not(.c)",
    ]
)
JOINTS = st.sampled_from([" ", " > ", ">", " + ", " ~ "])


@given(st.lists(st.tuples(JOINTS, NAMES | ODD), min_size=1, max_size=4), NAMES)
def test_rules_find_what_the_selector_library_finds(
    parts: list[tuple[str, str]], other: str
) -> None:
    soup = BeautifulSoup(PAGE, "lxml")
    selector = "".join(joint + name for joint, name in parts).lstrip(" >+~") + ", " + other
    style = soup.new_tag("style")
    style.string = f"{selector} {{ display: none }}"
    soup.append(style)
    reader = SheetReader(list(elements(soup)))
    assert reader.complete
    assert set(reader.styles) == {id(tag) for tag in soup.select(selector)}


def test_a_sheet_of_many_rules_costs_only_those_elements_that_bear_their_names() -> None:
    rules = "".join(f".x{n} .y p{{display:none}} p .z{n}{{top:1px}}" for n in range(1400))
    page = html_page(f"<style>{rules}</style>{'<p class=y>word</p>' * 500}".encode())
    assert page.soup.get_text().count("word") == 500
    assert page.notes == []


def test_rules_that_cannot_be_about_the_page_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style_sheets, "MAX_RULES", 10)
    rules = "".join(f".x{n} p{{display:none}} #y{n}>p{{display:none}}" for n in range(900))
    page = html_page(f"<style>{rules} p.z{{display:none}}</style><p>a</p><p class=z>b</p>".encode())
    assert page.soup.get_text().strip().split()[-1] == "a"
    assert page.notes == ["Hidden text was left out (display:none): 1 words."]


def test_a_sheet_that_is_too_costly_is_applied_in_part_and_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(style_sheets, "MAX_LOOKS", 1000)
    nested = "<div>" * 60 + "word" + "</div>" * 60 + "<i class=q>x</i>"
    rules = "div div>div:not(.q){opacity:1}" * 9 + ".q{opacity:0}"
    page = html_page(f"<style>{rules}</style>{nested}".encode())
    assert "word" in page.soup.get_text()
    assert "Style sheets were applied in part" in page.notes[0]


def test_rules_about_looks_alone_are_not_applied_and_those_that_hide_are() -> None:
    sheet = (
        "p{top:4px;color:#333} .t{background:navy} .h{position:absolute} .x::before{top:-2000px}"
    )
    inline = "<p class=h style='left:-9999px'>away</p>"
    page = html_page(
        f"<style>{sheet}</style><p>kept</p>{inline}<div id=t><font color=white>pale</font></div>"
        "<table class=t><tr><td><font color=white>seen</font></td></tr></table>".encode()
    )
    assert page.soup.get_text(" ").split()[-2:] == ["kept", "seen"]
    assert len(page.notes) == 2


@pytest.mark.parametrize(
    ("media", "is_shown"),
    [("print", True), ("speech, (max-width: 9px)", True), ("print, screen", False), ("", False)],
)
def test_sheets_for_other_media_hide_nothing(media: str, is_shown: bool) -> None:
    sheet = f"<style media='{media}'>.z{{display:none}}</style>"
    page = html_page(f"{sheet}<p>kept</p><p class=z>word</p>".encode())
    assert ("word" in page.soup.body.get_text()) is is_shown  # type: ignore[union-attr]
