"""Files attached to documents are listed, and read under the name DOCUMENT/NAME."""

from __future__ import annotations

import json
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pytest

from qwenbelt.core.errors import InputError, ToolError
from qwenbelt.tools.base import ToolContext
from qwenbelt.tools.documents import DocumentIndex
from qwenbelt.tools.documents.parsing.attachments import attachment
from qwenbelt.tools.documents.parsing.formats import open_document
from qwenbelt.tools.documents.tool import ReadDocument

PRICES = b"Item;Price\nBolt;4.50\nNut;0.75\n"


def mail(
    *attached: tuple[str, bytes], subject: str = "Offer 4711", body: str = "See below."
) -> bytes:
    message = EmailMessage()
    message["From"] = "Ann Lee <ann@example.org>"
    message["To"] = "bob@example.org"
    message["Date"] = "Mon, 02 Mar 2026 10:00:00 +0100"
    message["Subject"] = subject
    message.set_content(body)
    for name, data in attached:
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return bytes(message)


def stream(data: bytes, entries: str = "") -> bytes:
    head = f"<< /Length {len(data)} {entries} >>\nstream\n".encode()
    return head + data + b"\nendstream"


def pdf_with_files(make_pdf) -> Path:
    """A PDF with one file in its list of files, and one pinned to its page."""
    objects = {
        90: b"<< /Type /Filespec /F (prices.csv) /UF (prices.csv) /EF << /F 91 0 R >> >>",
        91: stream(PRICES, "/Type /EmbeddedFile"),
        92: b"<< /Type /Annot /Subtype /FileAttachment /Rect [10 10 20 20] /FS 93 0 R >>",
        93: b"<< /Type /Filespec /F (note.txt) /UF (note.txt) /EF << /F 94 0 R >> >>",
        94: stream(b"The bolts are in room 12.", "/Type /EmbeddedFile"),
    }
    return make_pdf(
        "offer.pdf",
        ["BT /F1 12 Tf 72 700 Td (Our offer is attached.) Tj ET"],
        extra_objects=objects,
        catalog="/Names << /EmbeddedFiles << /Names [(prices.csv) 90 0 R] >> >>",
        page_entries="/Annots [92 0 R]",
    )


def read(tool: ReadDocument, context: ToolContext, **arguments: object) -> str:
    return str(tool.call(json.dumps(arguments), context=context))


def test_files_in_a_pdf_are_listed_and_opened(make_pdf, tmp_path: Path) -> None:
    file = pdf_with_files(make_pdf)
    context = ToolContext(files={"offer.pdf": str(file)}, folder=tmp_path / "run")
    (tmp_path / "run").mkdir()
    tool = ReadDocument()
    listed = read(tool, context)
    assert "1 attached files: prices.csv. read_document opens 'offer.pdf/prices.csv'." in listed
    assert "Attached file: note.txt" in read(tool, context, pages="1")
    assert "Bolt  4.50" in read(tool, context, file="offer.pdf/prices.csv", pages="1")
    assert "room 12" in read(tool, context, file="offer.pdf/note.txt", pages="1")
    assert "Nut,0.75" in read(tool, context, file="offer.pdf/prices.csv", table=1)
    with pytest.raises(
        ToolError, match=r"no attached file 'x.csv'.*Attached: prices.csv, note.txt"
    ):
        read(tool, context, file="offer.pdf/x.csv", pages="1")


def test_an_email_is_read_with_what_is_attached_to_it(tmp_path: Path) -> None:
    inner = mail(("deep.csv", PRICES), subject="Old offer", body="It was 5.00.")
    (tmp_path / "m.eml").write_bytes(mail(("prices.csv", PRICES), ("old.eml", inner)))
    context = ToolContext(files={"m.eml": str(tmp_path / "m.eml")}, folder=tmp_path)
    tool = ReadDocument()
    shown = read(tool, context, pages="1")
    for words in ("Offer 4711", "From: Ann Lee <ann@example.org>", "2 Mar 2026", "See below."):
        assert words in shown.replace("02 Mar", "2 Mar")
    assert "2 attached files: prices.csv, old.eml" in shown
    assert "It was 5.00." in read(tool, context, file="m.eml/old.eml", pages="1")
    assert "Bolt  4.50" in read(tool, context, file="m.eml/old.eml/deep.csv", pages="1")


def test_an_attached_file_needs_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENBELT_WORKSPACE", str(tmp_path / "work"))
    (tmp_path / "m.eml").write_bytes(mail(("prices.csv", PRICES)))
    tool = ReadDocument({"index": str(tmp_path / "i.db"), "files": []})
    with DocumentIndex(tmp_path / "i.db") as index:
        (added,) = index.add(tmp_path / "m.eml")
    assert added.notes == ("1 attached files: prices.csv. read_document opens 'm.eml/prices.csv'.",)
    assert "Bolt  4.50" in str(tool.call('{"file": "m.eml/prices.csv", "pages": 1}'))


def test_embedded_files_of_office_documents_are_attached(tmp_path: Path) -> None:
    import docx

    document = docx.Document()
    document.add_paragraph("The table is embedded.")
    document.save(tmp_path / "a.docx")
    with zipfile.ZipFile(tmp_path / "a.docx", "a") as archive:
        archive.writestr("word/embeddings/prices.csv", PRICES)
    with open_document(tmp_path / "a.docx") as opened:
        assert any("prices.csv" in note for note in opened.notes)
    assert attachment(tmp_path / "a.docx", "prices.csv") == PRICES


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"only text\n", "is not an e-mail"),
        (b"", "empty"),
        (b"\x00\xff\xfe" * 50, "is not an e-mail"),
    ],
)
def test_what_is_no_email_is_one_line(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.eml").write_bytes(data)
    with pytest.raises(InputError, match=reason), open_document(tmp_path / "a.eml"):
        pass


def test_names_of_attached_files_lead_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "m.eml").write_bytes(
        mail(("../../evil.txt", b"Text of the first."), ("a.txt", b"1"), ("a.txt", b"Two."))
    )
    context = ToolContext(files={"m.eml": str(tmp_path / "m.eml")}, folder=tmp_path / "run")
    (tmp_path / "run").mkdir()
    tool = ReadDocument()
    assert "3 attached files: evil.txt, a.txt, a (2).txt" in read(tool, context, pages="1")
    assert "Text of the first." in read(tool, context, file="m.eml/evil.txt", pages="1")
    assert "Two." in read(tool, context, file="m.eml/a (2).txt", pages="1")
    assert not (tmp_path / "evil.txt").exists()
