"""Small files that cost much are refused in one line, by a limit that is told."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from qwenbelt.core.errors import InputError
from qwenbelt.tools.documents import DocumentIndex, verify_citation
from qwenbelt.tools.documents.parsing import pagination
from qwenbelt.tools.documents.parsing.formats import open_document


def many_pages(count: int) -> bytes:
    """A PDF whose pages are all the same object."""
    kids = b"3 0 R " * count
    return (
        b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n2 0 obj\n<< /Type /Pages "
        b"/Kids [" + kids + b"] /Count %d >>\nendobj\n3 0 obj\n<< /Type /Page /Parent 2 0 R "
        b"/MediaBox [0 0 9 9] >>\nendobj\ntrailer << /Root 1 0 R >>\n%%%%EOF\n" % count
    )


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("pages.pdf", many_pages(300_000), "300000 pages; at most 20000"),
        ("wide.csv", b",".join(b"c%d" % n for n in range(5000)) + b"\n", "5000 columns"),
        ("wide.html", b"<table><tr>" + b"<td>a" * 200_000 + b"</table>", "200000 columns"),
        ("wide.md", b"|" + b"a|" * 200_000 + b"\n|" + b"-|" * 200_000, "200000 columns"),
        ("deep.html", b"<div>" * 200_000 + b"words", "200000 elements inside each other"),
        ("line.txt", b"word " * 2_000_000, "a line of 9 MB"),
        ("line.html", b"<p>" + b"word " * 2_000_000, "a line of 9 MB"),
    ],
)
def test_a_limit_is_told_in_one_line(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(InputError, match=told) as raised, open_document(file):
        pass
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["a page", "a form"])
def test_a_picture_of_gigabytes_is_told_and_the_text_beside_it_is_read(make_pdf, name: str) -> None:
    head = b"<< /Type /XObject /Subtype /Image /Width 60000 /Height 60000 /BitsPerComponent 8"
    data = b"%s /ColorSpace /DeviceGray /Filter /FlateDecode /Length 8 >>\nstream\n" % head
    picture = data + zlib.compress(b"")[:8].ljust(8, b"0") + b"\nendstream"
    shown = "q 500 0 0 500 50 100 cm /Im1 Do Q"
    form = b"<< /Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << /XObject << /Im1 13"
    form += b" 0 R >> >> /Length %d >>\nstream\n%s\nendstream" % (len(shown), shown.encode())
    in_form = name == "a form"
    file = make_pdf(
        "large.pdf",
        [f"BT /F1 12 Tf 72 700 Td (The harbour.) Tj ET {'/Fm1 Do' if in_form else shown}"],
        extra_objects={13: picture, 14: form},
        extra_resources="/XObject << /Im1 13 0 R /Fm1 14 0 R >>",
    )
    with open_document(file) as opened:
        page = next(iter(opened.read([1])))
    assert "The harbour." in page.text
    assert "A picture of 60000 x 60000 pixels is too large; it was not read." in page.notes


@pytest.mark.slow
def test_a_page_of_a_gigabyte_costs_only_its_reader(tmp_path: Path, make_pdf) -> None:
    packer = zlib.compressobj(9)
    stream = b"".join(packer.compress(b"0 0 m " * 200_000) for _ in range(900)) + packer.flush()
    stream = zlib.compress(stream, 9)
    bomb = b"<< /Length %d /Filter [/FlateDecode /FlateDecode] >>\nstream\n%s\nendstream"
    file = make_pdf(
        "bomb.pdf",
        ["BT /F1 12 Tf 72 700 Td (The harbour.) Tj ET", ""],
        extra_objects={13: bomb % (len(stream), stream)},
    )
    with DocumentIndex(tmp_path / "i.db", workers=1) as index:
        (added,) = index.add(file)
        assert added.pages == 2
        assert index.search("harbour", 1)[0].page == 1
    assert any("Page 2" in note for note in added.notes)


@pytest.mark.parametrize("text", ["word " * 5000, "一" * 9000, "x" * 7000, "a\n" * 5000])
def test_long_text_is_cut_without_loss(text: str) -> None:
    pages = pagination.pages_of([pagination.Paragraph(text)])
    assert "".join("".join(p.text for p in pages).split()) == "".join(text.split())
    assert max(len(p.text) for p in pages) <= pagination.PAGE_CHARACTERS + 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "The lid is blue."),
        ("a.html", "<p>The lid is blue.</p>"),
        ("a.csv", "The lid,is blue\n"),
    ],
)
def test_citations_of_every_format_are_checked(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert verify_citation(tmp_path, name, 1, "the lid is blue") is not None
    assert verify_citation(tmp_path, name, 1, "the lid is red") is None
    assert verify_citation(tmp_path, name, 2, "the lid is blue") is None


def test_a_header_that_is_longer_than_the_sample_is_told(tmp_path: Path) -> None:
    columns = ",".join(f"column{n}" for n in range(20_000))
    (tmp_path / "wide.csv").write_text(f"{columns}\n{columns}\n")
    with (
        pytest.raises(InputError, match="a table of 20000 columns; at most"),
        open_document(tmp_path / "wide.csv"),
    ):
        pass


def test_cells_that_are_cut_are_told(tmp_path: Path) -> None:
    (tmp_path / "long.csv").write_text("a,b\n1," + "word " * 1000 + "\n")
    with open_document(tmp_path / "long.csv") as opened:
        (page,) = opened.read([1])
    assert page.notes == ["Cells were cut after 2000 characters."]
