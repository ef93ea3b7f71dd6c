"""Pages that are pictures, or whose text cannot be decoded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from qwenbelt.core.errors import ConfigError
from qwenbelt.tools.documents.parsing.pdf.reader import read_pages
from qwenbelt.tools.images import ocr_cache, reading


@pytest.fixture(autouse=True)
def _nothing_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENBELT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    picture = Image.new("RGB", (1224, 1584), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=48)
    draw.text((150, 200), "The harbour was closed", "black", font=font)
    draw.text((150, 280), "in the winter of 1912.", "black", font=font)
    path = tmp_path / "scan.pdf"
    picture.save(path, resolution=144)
    return path


def test_scan_is_read_by_ocr(scan: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rapidocr")
    reading._ocr_engine.cache_clear()
    (page,) = read_pages(scan)
    assert capfd.readouterr() == ("", "")
    words = page.text.lower().replace(" ", "")
    assert "harbourwasclosed" in words
    assert "1912" in words
    assert page.notes == ["A picture; read by OCR."]
    box = page.lines[0].box
    assert (box.x0, box.top) == pytest.approx((75, 100), abs=15)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_scan_that_lies_on_its_side_is_read_upright(tmp_path: Path, turn: int) -> None:
    pytest.importorskip("rapidocr")
    picture = Image.new("RGB", (1000, 500), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=48)
    draw.text((100, 60), "The harbour was closed", "black", font=font)
    draw.text((100, 200), "in the winter of 1912.", "black", font=font)
    path = tmp_path / "turned.pdf"
    picture.rotate(turn, expand=True).save(path, resolution=144)
    (page,) = read_pages(path)
    words = page.text.lower().replace(" ", "")
    assert words.index("harbourwasclosed") < words.index("1912")
    assert page.notes == ["A picture that is turned; read by OCR."]
    box = page.lines[0].box  # of the first line, where it stands on the page
    found = {90: box.x0, 180: box.bottom, 270: box.x1}[turn]
    right = {90: 30, 180: 220, 270: 220}[turn]
    assert abs(found - right) < 15


def test_a_page_read_once_is_not_read_by_ocr_again(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rapidocr")
    (first,) = read_pages(scan)
    (kept,) = (tmp_path / "cache" / "ocr").iterdir()
    assert kept.parent.stat().st_mode & 0o077 == 0

    def again(picture: object) -> list[object]:
        raise AssertionError("read again")

    with monkeypatch.context() as patch:
        patch.setattr("qwenbelt.tools.images.reading.read_text", again)
        (second,) = read_pages(scan)
    assert (second.text, second.lines, second.notes) == (first.text, first.lines, first.notes)

    kept.write_text('{"lines": [["text", "nowhere"]], "turn": 0}')  # damaged: read anew
    assert next(iter(read_pages(scan))).text == first.text
    kept.unlink()
    monkeypatch.setenv("QWENBELT_CACHE", "off")
    assert next(iter(read_pages(scan))).text == first.text
    assert not kept.exists()


def test_the_oldest_kept_pages_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr_cache, "MAX_ENTRIES", 3)
    monkeypatch.setattr(ocr_cache, "_PRUNED_EVERY", 1)
    for number in range(5):
        ocr_cache.save(str(number), number)
        os.utime(tmp_path / "cache" / "ocr" / f"{number}.json", (number, number))
    ocr_cache.save("5", 5)
    assert [ocr_cache.load(str(number)) for number in range(6)] == [None, None, None, 3, 4, 5]


def test_without_the_extra_the_page_says_so(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(picture: object) -> None:
        raise ConfigError("not installed")

    monkeypatch.setattr("qwenbelt.tools.images.reading.read_text", missing)
    (page,) = read_pages(scan)
    assert page.text == ""
    assert "A picture; it was not read" in page.notes[0]
    assert "qwenbelt[ocr]" in page.notes[0]


def test_blank_page_has_nothing_to_say(make_pdf) -> None:
    (page,) = read_pages(make_pdf("blank.pdf", [""]))
    assert (page.text, page.notes) == ("", [])


def test_lost_text_is_told(make_pdf, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_pdf("a.pdf", ["BT /F1 10 Tf 72 700 Td (Twenty letters and some more.) Tj ET"])
    monkeypatch.setattr("qwenbelt.tools.documents.parsing.pdf.reader.fragments_of", lambda part: [])
    (page,) = read_pages(path)
    assert page.notes == ["Only 0 of 25 characters were placed."]


def test_a_whole_page_fits_into_what_a_reading_process_may_use() -> None:
    pytest.importorskip("rapidocr")
    from importlib.resources import files

    from qwenbelt.tools.documents.parsing.worker_pool import Workers

    document = Path(str(files("qwenbelt.workflows"))) / "demo" / "eia-923-instructions.pdf"
    pool = Workers(1)
    try:
        (page,) = pool.read(document, [37], None, layout=True)
    finally:
        pool.close()
    assert any("read by OCR" in note for note in page.notes), page.notes


def test_a_small_picture_on_a_page_without_text_is_told(
    make_pdf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table as a picture, a tenth of the page, and nothing else."""
    monkeypatch.setattr(
        "qwenbelt.tools.documents.parsing.pdf.reader.read_by_ocr", lambda page: None
    )
    data = b"\xf0" * 10_000
    head = b"<< /Type /XObject /Subtype /Image /Width 100 /Height 100 /BitsPerComponent 8 "
    head += b"/ColorSpace /DeviceGray /Length %d >>\nstream\n" % len(data)
    file = make_pdf(
        "table.pdf",
        ["q 300 0 0 80 72 440 cm /Im1 Do Q"],
        extra_resources="/XObject << /Im1 90 0 R >>",
        extra_objects={90: head + data + b"\nendstream"},
    )
    (page,) = read_pages(file)
    assert page.notes[0].startswith("A picture; it was not read")
