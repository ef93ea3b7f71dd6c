"""Small PDFs, written by hand so that every coordinate in them is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from qwenbelt.tools.documents.parsing import worker_pool

PdfMaker = Callable[..., Path]


def text(x: float, y: float, words: str, size: float = 10, font: str = "F1") -> str:
    """A line of text; y counts from the bottom, as in PDF."""
    escaped = words.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    return f"BT /{font} {size} Tf 1 0 0 1 {x} {y} Tm ({escaped}) Tj ET"


def ruled_grid(x: float, y: float, columns: list[float], rows: list[float]) -> str:
    """Stroked rules of a grid from its top left corner (x, y), y from the bottom."""
    width, height = sum(columns), sum(rows)
    parts, at = [], y
    for step in [0.0, *rows]:
        at -= step
        parts.append(f"{x} {at} m {x + width} {at} l S")
    at = x
    for step in [0.0, *columns]:
        at += step
        parts.append(f"{at} {y} m {at} {y - height} l S")
    return "\n".join(parts)


def pdf_bytes(
    pages: list[str],
    *,
    size: tuple[float, float] = (612, 792),
    rotate: int = 0,
    outline: list[tuple[str, int]] | None = None,
    extra_resources: str = "",
    extra_objects: dict[int, bytes] | None = None,
    catalog: str = "",
    page_entries: str = "",
) -> bytes:
    """A PDF with a content stream a page, Helvetica as F1 and its bold as F2."""
    objects: dict[int, bytes] = {
        3: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        4: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold "
        b"/Encoding /WinAnsiEncoding >>",
    }
    kids, number = [], 10
    for content in pages:
        raw = content.encode("cp1252", "replace")
        kids.append(number)
        objects[number] = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {size[0]} {size[1]}] /Rotate {rotate} "
            f"{page_entries} "
            f"/Contents {number + 1} 0 R /Resources << /Font << /F1 3 0 R /F2 4 0 R >> "
            f"{extra_resources} >> >>"
        ).encode()
        objects[number + 1] = b"<< /Length %d >>\nstream\n%s\nendstream" % (len(raw), raw)
        number += 2
    outlines = ""
    if outline:
        outlines = f"/Outlines {number} 0 R"
        items = [number + 1 + n for n in range(len(outline))]
        objects[number] = (
            f"<< /Type /Outlines /First {items[0]} 0 R /Last {items[-1]} 0 R /Count {len(items)} >>"
        ).encode()
        for n, (title, page) in enumerate(outline):
            links = f"/Prev {items[n - 1]} 0 R " if n else ""
            links += f"/Next {items[n + 1]} 0 R " if n + 1 < len(items) else ""
            objects[items[n]] = (
                f"<< /Title ({title}) /Parent {number} 0 R {links}"
                f"/Dest [{kids[page - 1]} 0 R /Fit] >>"
            ).encode()
    references = " ".join(f"{k} 0 R" for k in kids)
    objects[1] = f"<< /Type /Catalog /Pages 2 0 R {outlines} {catalog} >>".encode()
    objects[2] = f"<< /Type /Pages /Kids [{references}] /Count {len(kids)} >>".encode()
    objects.update(extra_objects or {})
    return _assemble(objects)


def _assemble(objects: dict[int, bytes]) -> bytes:
    out, offsets = bytearray(b"%PDF-1.7\n"), {}
    for number in sorted(objects):
        offsets[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, objects[number])
    start, last = len(out), max(objects)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (last + 1)
    for number in range(1, last + 1):
        entry = (offsets[number], 0, b"n") if number in offsets else (0, 65535, b"f")
        out += b"%010d %05d %s \n" % entry
    out += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (last + 1, start)
    return bytes(out)


@pytest.fixture
def use_reader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Has documents read by a program of the test's own."""

    def use(program: str) -> None:
        (tmp_path / "own_reader.py").write_text(program, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(worker_pool, "_CHILD", "own_reader")

    return use


@pytest.fixture
def make_pdf(tmp_path: Path) -> PdfMaker:
    """Writes a PDF of content streams into the test's folder and returns its path."""

    def make(name: str, pages: list[str], **options: object) -> Path:
        path = tmp_path / name
        path.write_bytes(pdf_bytes(pages, **options))  # type: ignore[arg-type]
        return path

    return make


@pytest.fixture
def report_pdf(make_pdf: PdfMaker) -> Path:
    """Two pages: prose, and a ruled table of sales."""
    prose = [
        "The river works were finished in 1912 after long delays.",
        "Engineers had warned that the old locks could not carry the load.",
        "A second canal was dug beside the first one in the same decade.",
    ]
    first = [text(72, 700 - 14 * n, line) for n, line in enumerate(prose)]
    second = [text(72, 740, "Table 1: Sales of grain by year", font="F2")]
    second.append(ruled_grid(72, 700, [120, 80, 80], [20, 20, 20]))
    values = [["Year", "Tons", "Price"], ["1911", "1,250", "3.10"], ["1912", "1,975", "2.85"]]
    for r, row in enumerate(values):
        for c, value in enumerate(row):
            second.append(text([78, 198, 278][c], 686 - 20 * r, value))
    return make_pdf(
        "report.pdf",
        ["\n".join(first), "\n".join(second)],
        outline=[("Canals", 1), ("Grain sales", 2)],
    )
