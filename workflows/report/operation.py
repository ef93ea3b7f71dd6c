"""The report as an operation, for the toolbox server."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, Field

from qwenbelt.core.errors import InputError, ToolError
from qwenbelt.core.limits import shorten_text
from qwenbelt.tools.operation import Media, Operation, OperationCall, OperationResult

_MEDIA_BYTES = 600 * 1024
_MOST_REPORTS = 1000


class ClientFolders(Protocol):
    """Where a client's files are."""

    def folder(self, call: OperationCall) -> Path:
        """Returns the working folder of the client's session."""

    def files(self) -> dict[str, Path]:
        """Returns the documents by the names that clients use."""


class ReportArguments(BaseModel):
    """What to report on."""

    question: str = Field(description="What the report should answer")
    files: list[str] | None = Field(None, description="Only these documents, by name")


def _report(place: ClientFolders, given: ReportArguments, call: OperationCall) -> OperationResult:
    from qwenbelt.workflows.report.job import report

    chosen = _chosen(place.files(), given.files)

    def tell(text: str, fraction: float | None = None) -> None:
        call.check()
        call.report(text, fraction)

    try:
        made = report(
            chosen,
            given.question,
            _free_folder(place.folder(call)),
            tell=tell,
            listener=lambda event: call.check(),
        )
    except InputError as error:
        raise ToolError(str(error)) from error
    text = shorten_text(made.markdown.read_text(encoding="utf-8"))[0]
    data = {
        "folder": str(made.folder),
        "citations": len(made.document.citations),
        "verified": made.verified,
    }
    return OperationResult(text, data, str(made.pdf), tuple(_media(made.folder)))


def _chosen(known: dict[str, Path], wanted: list[str] | None) -> list[Path]:
    documents = {name: path for name, path in known.items() if path.suffix.lower() == ".pdf"}
    if not documents:
        raise ToolError("This server was started without PDF files.")
    missing = [name for name in wanted or () if name not in documents]
    if missing:
        raise ToolError(f"There is no document {missing[0]!r}; there are: {', '.join(documents)}.")
    return [documents[name] for name in wanted or documents]


def _free_folder(folder: Path) -> Path:
    for number in range(1, _MOST_REPORTS):
        found = folder / f"report-{number}"
        if not found.exists():
            return found
    raise ToolError("The session's folder is full of reports.")


def _media(folder: Path) -> list[Media]:
    found: list[Media] = []
    for path, kind, mime_type in (
        *((p, "image", "image/png") for p in sorted(folder.glob("figures/*.png"))),
        (folder / "report.pdf", "file", "application/pdf"),
    ):
        size = path.stat().st_size if path.is_file() else 0
        if 0 < size <= _MEDIA_BYTES - sum(len(media.data) for media in found):
            data: Any = path.read_bytes()
            found.append(Media("image" if kind == "image" else "file", data, mime_type, path.name))
    return found


REPORT = Operation(
    "report",
    "Report",
    "Answers a question from the PDF documents of this server and writes a report with citations "
    "that are checked against the pages. Returns the report, its figures and its PDF file.",
    ReportArguments,
    _report,
    {
        "type": "object",
        "properties": {
            "folder": {"type": "string"},
            "citations": {"type": "integer"},
            "verified": {"type": "integer"},
        },
        "required": ["folder", "citations", "verified"],
    },
    long=True,
)
