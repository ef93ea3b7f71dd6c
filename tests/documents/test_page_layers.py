"""Text that nobody sees is told and never quoted; fields and comments are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwenbelt.tools.documents import DocumentIndex
from qwenbelt.tools.documents.citations import quote_spans
from qwenbelt.tools.documents.parsing.pdf.reader import read_pages
from qwenbelt.tools.images.reading import read_text

SEEN = "BT /F1 12 Tf 0 0 0 rg 72 700 Td (The price is 10 EUR for each piece.) Tj ET "
SECRET = "(The price is 99 EUR today.) Tj ET"
HIDDEN = {
    "white": f"BT /F1 12 Tf 1 1 1 rg 72 600 Td {SECRET}",
    "nearly white": f"BT /F1 12 Tf .97 .98 .97 rg 72 600 Td {SECRET}",
    "tiny": f"BT /F1 1 Tf 0 g 72 600 Td {SECRET}",
    "outside": f"BT /F1 12 Tf 0 g 72 900 Td {SECRET}",
    "left of the page": f"BT /F1 12 Tf 0 g -400 600 Td {SECRET}",
    "no ink": f"BT /F1 12 Tf 3 Tr 72 600 Td {SECRET}",
}
VISIBLE = {
    "white on black": f"0 g 60 590 300 30 re f BT /F1 12 Tf 1 g 72 600 Td {SECRET}",
    "red": f"BT /F1 12 Tf 1 0 0 rg 72 600 Td {SECRET}",
    "small": f"BT /F1 4 Tf 0 g 72 600 Td {SECRET}",
}


@pytest.mark.parametrize("kind", HIDDEN)
def test_hidden_text_is_kept_apart_and_told(make_pdf, kind: str) -> None:
    (page,) = read_pages(make_pdf("a.pdf", [SEEN + HIDDEN[kind]]))
    assert page.text.strip() == "The price is 10 EUR for each piece."
    (note,) = page.notes
    assert note.startswith("Hidden text")
    assert "99 EUR" in note
    assert not quote_spans(page.text, "The price is 99 EUR")


@pytest.mark.parametrize("kind", VISIBLE)
def test_what_is_seen_is_no_hidden_text(make_pdf, kind: str) -> None:
    (page,) = read_pages(make_pdf("a.pdf", [SEEN + VISIBLE[kind]]))
    assert "The price is 99 EUR today." in page.text
    assert page.notes == []


FIELDS = {
    90: b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (Surname) /V (Ellingworth) "
    b"/Rect [72 600 200 620] >>",
    91: b"<< /Type /Annot /Subtype /Widget /FT /Btn /T (Paid) /V /Yes /AS /Yes "
    b"/AP << /N << /Yes 95 0 R /Off 95 0 R >> >> /Rect [72 560 90 580] >>",
    92: b"<< /Type /Annot /Subtype /Text /T (Ann) /Contents (Check this sum.) "
    b"/Rect [300 600 320 620] >>",
    93: b"<< /Type /Annot /Subtype /Text /Contents (Nobody sees this.) /F 2 /Rect [3 6 32 62] >>",
    95: b"<< /Length 0 /BBox [0 0 9 9] /Subtype /Form /Type /XObject >>\nstream\n\nendstream",
}


def test_fields_and_comments_become_marked_lines(make_pdf, tmp_path: Path) -> None:
    file = make_pdf(
        "form.pdf",
        [SEEN],
        page_entries="/Annots [90 0 R 91 0 R 92 0 R 93 0 R]",
        catalog="/AcroForm << /Fields [90 0 R 91 0 R] >>",
        extra_objects=FIELDS,
    )
    with DocumentIndex(tmp_path / "i.db") as index:
        index.add(file)
        (page,) = index.pages("form.pdf")
    _, *lines = page.text.strip().split("\n")
    assert lines == [
        "Form field Surname: Ellingworth",
        "Form field Paid: Yes [x]",
        "Comment (Ann): Check this sum.",
    ]
    (box,) = page.boxes(page.text.index("Ellingworth"), page.text.index("Ellingworth") + 11)
    assert box.top == pytest.approx(792 - 620, abs=1)


def test_a_scan_beside_typed_text_is_read(make_pdf) -> None:
    pytest.importorskip("rapidocr")
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("L", (1000, 1200), 250)
    font = ImageFont.load_default(44)
    for n in range(12):
        ImageDraw.Draw(picture).text((60, 80 + 90 * n), f"Invoice row {n} costs 412500", 20, font)
    assert read_text(picture)
    data = picture.tobytes()
    image = b"<< /Type /XObject /Subtype /Image /Width 1000 /Height 1200 /BitsPerComponent 8 "
    image += b"/ColorSpace /DeviceGray /Length %d >>\nstream\n%s\nendstream" % (len(data), data)
    content = "q 500 0 0 600 50 60 cm /Im1 Do Q BT /F1 12 Tf 72 720 Td (COPY 17 OF 20) Tj ET"
    file = make_pdf(
        "scan.pdf",
        [content],
        extra_resources="/XObject << /Im1 90 0 R >>",
        extra_objects={90: image},
    )
    (page,) = read_pages(file)
    assert "COPY 17 OF 20" in page.text
    assert "412500" in page.text
    assert page.notes == ["A picture beside text; read by OCR."]
