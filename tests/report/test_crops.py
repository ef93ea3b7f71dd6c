"""Crops of cited passages: what a picture shows holds the words that are quoted."""

from pathlib import Path

import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from qwenbelt.tools.documents.citations import find_quote
from qwenbelt.workflows.report.crops import around, whole_lines, with_crops
from qwenbelt.workflows.report.document import ReportCitation, SourceFile
from qwenbelt.workflows.report.inputs import read_cited

DEMO = Path(__file__).parents[2] / "workflows" / "demo" / "eia-923-instructions.pdf"


def cited_lines(pages: range) -> list[ReportCitation]:
    """Returns a citation of every line with enough words of some pages."""
    found: list[ReportCitation] = []
    for number in pages:
        cited = read_cited(DEMO, number)
        assert cited is not None
        for line in dict.fromkeys(cited.page.text.splitlines()):
            boxes = find_quote(cited.page, line) if len(line.split()) > 3 else []
            if not boxes:
                continue
            around_all = boxes[0]
            for box in boxes[1:]:
                around_all = around_all.union(box)
            lines = tuple(box.rounded() for box in boxes)
            n = len(found) + 1
            found.append(
                ReportCitation(n, DEMO.name, number, line, around_all.rounded(), lines=lines)
            )
    return found


def test_the_crops_of_more_than_a_hundred_citations_hold_their_quotes(tmp_path: Path) -> None:
    citations = with_crops(cited_lines(range(30, 35)), [SourceFile(DEMO.name, DEMO, 42)], tmp_path)
    assert len(citations) > 100
    with pypdfium2.PdfDocument(DEMO) as document:
        for citation in citations:
            left, top, right, bottom = citation.crop_box or (0, 0, 0, 0)
            x0, y0, x1, y1 = citation.box or (0, 0, 0, 0)
            assert left <= x0
            assert top <= y0
            assert right >= x1
            assert bottom >= y1
            page = document[citation.page - 1]
            height = page.get_height()
            shown = page.get_textpage().get_text_bounded(left, height - bottom, right, height - top)
            assert set(citation.quote.split()[1:-1]) <= set(shown.split()), citation.quote
            with Image.open(tmp_path / citation.crop) as picture:
                wide, high = picture.size
                marks = [c for c in _pixels(picture) if c[2] < 90 < 180 < c[0]]
            assert abs(wide / high - (right - left) / (bottom - top)) < 0.1 * wide / high
            assert marks, "the quoted words are marked"


def _pixels(picture: Image.Image) -> list[tuple[int, ...]]:
    colours = picture.convert("RGB").getcolors(picture.width * picture.height) or []
    return [colour for _, colour in colours if isinstance(colour, tuple)]


edge = st.floats(-20, 900)


@given(edge, edge, edge, edge, st.floats(50, 1200), st.floats(50, 1200))
def test_a_crop_holds_its_box_wherever_it_is(
    a: float, b: float, c: float, d: float, wide: float, high: float
) -> None:
    box = (min(a, b), min(c, d), max(a, b), max(c, d))
    left, top, right, bottom = around(box, wide, high)
    assert left <= box[0] + 0.01
    assert top <= box[1] + 0.01
    assert right >= box[2] - 0.01
    assert bottom >= box[3] - 0.01


def test_a_crop_cuts_no_line_and_leaves_out_what_would_make_it_too_high() -> None:
    passage = (100.0, 300.0, 160.0, 312.0)
    lines = [
        (90.0, 286.0, 420.0, 298.0),  # reaches over the right edge
        passage,
        (100.0, 318.0, 300.0, 330.0),
        (100.0, 325.0, 300.0, 395.0),  # too high: left out
        (500.0, 300.0, 560.0, 312.0),  # another column
    ]
    left, top, right, bottom = whole_lines((91, 291, 331, 340), passage, lines, 612, 792)
    assert top <= 286
    assert left <= 90
    assert 420 <= right < 500
    assert passage[3] < bottom <= 328


@given(
    st.lists(st.tuples(edge, edge, edge, edge), max_size=12),
    st.tuples(st.floats(0, 500), st.floats(0, 700)),
)
def test_a_crop_of_whole_lines_still_holds_its_passage(
    corners: list[tuple[float, float, float, float]], at: tuple[float, float]
) -> None:
    lines = [(min(a, b), min(c, d), max(a, b), max(c, d)) for a, b, c, d in corners]
    passage = (at[0], at[1], at[0] + 40, at[1] + 12)
    box = whole_lines(around(passage, 612, 792), passage, lines, 612, 792)
    assert box[0] <= passage[0] + 0.01
    assert box[1] <= passage[1] + 0.01
    assert box[2] >= passage[2] - 0.01
    assert box[3] >= passage[3] - 0.01


@pytest.mark.parametrize(("verified", "box"), [(False, (1.0, 2.0, 3.0, 4.0)), (True, None)])
def test_words_that_were_not_found_have_no_crop(
    tmp_path: Path, verified: bool, box: tuple[float, float, float, float] | None
) -> None:
    given_one = ReportCitation(1, DEMO.name, 1, "words", box, verified)
    (citation,) = with_crops([given_one], [SourceFile(DEMO.name, DEMO, 42)], tmp_path)
    assert citation.crop == ""
    assert citation.to_dict()["crop"] is None
