"""`qwenbelt docs`: the document index without a model."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwenbelt.core.errors import EXIT_FAILED, InputError

if TYPE_CHECKING:
    from qwenbelt.tools.documents import Added, DocumentIndex, Hit, Progress

_index_option = click.option(
    "--index", "index_path", metavar="FILE", help="The index file; made if missing."
)
_vectors_option = click.option(
    "--vectors", metavar="SPEC", help='Search by meaning too: "offline", or KIND:MODEL[@URL].'
)
_json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group()
def docs() -> None:
    """Take documents in, search them, list them, remove them; no model needed."""


@docs.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE|FOLDER|URL...")
@click.option("--password", help="Opens encrypted files.")
@_vectors_option
@_index_option
@_json_option
def add(
    files: tuple[str, ...],
    password: str | None,
    vectors: str | None,
    index_path: str | None,
    as_json: bool,
) -> None:
    """Take files, folders and web pages into the index."""
    from qwenbelt.tools.documents.library import command_index

    with command_index(index_path, vectors) as index:
        results = _add(index, files, password, quiet=as_json)
    if as_json:
        click.echo(json.dumps({"files": [_added(r) for r in results]}, ensure_ascii=False))
    else:
        for result in results:
            _show_added(result)
    if any(result.state == "failed" for result in results):
        sys.exit(EXIT_FAILED)


def _add(
    index: DocumentIndex, files: tuple[str, ...], password: str | None, *, quiet: bool
) -> list[Added]:
    if quiet or not sys.stderr.isatty():
        return index.add(files, password=password)
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(now: Progress) -> None:
            name = f"{now.file} ({now.done + 1}/{now.files})"
            bar.update(task, description=name, completed=now.page, total=now.pages)

        return index.add(files, password=password, progress=tell)


def _added(result: Added) -> dict[str, Any]:
    return {
        "file": result.file,
        "state": result.state,
        "pages": result.pages,
        "chunks": result.chunks,
        "error": result.error or None,
        "notes": list(result.notes),
    }


def _show_added(result: Added) -> None:
    if result.error:
        click.echo(result.error, err=True)
        return
    click.echo(f"{result.file}: {result.state}, {result.pages} pages, {result.chunks} passages")
    for note in result.notes[:5]:
        click.echo(f"  {note}", err=True)


@docs.command()
@click.argument("query", required=False)
@click.option("--top-k", default=10, show_default=True, type=click.IntRange(1, 1000))
@click.option("--file", "files", multiple=True, metavar="NAME", help="Only this document.")
@click.option("--queries", metavar="FILE.jsonl", help="One {id, question, file?} a line.")
@_vectors_option
@click.option("--rerank", metavar="SPEC", help="Let a model order the best: KIND:MODEL[@URL].")
@_index_option
@_json_option
def search(
    query: str | None,
    top_k: int,
    files: tuple[str, ...],
    queries: str | None,
    vectors: str | None,
    rerank: str | None,
    index_path: str | None,
    as_json: bool,
) -> None:
    """Search the index; every passage comes with its file and page."""
    if (query is None) == (queries is None):
        raise click.UsageError("Give either a query or --queries FILE.jsonl.")
    from qwenbelt.tools.documents.library import command_index

    with command_index(index_path, vectors, rerank) as index:
        if queries is not None:
            for entry in _read_queries(queries):
                named = [entry["file"]] if entry.get("file") else list(files) or None
                hits = index.search(entry["question"], top_k, files=named)
                click.echo(_dumps({"id": entry.get("id"), "hits": [_hit(h) for h in hits]}))
            return
        hits = index.search(query or "", top_k, files=list(files) or None)
    if as_json:
        click.echo(_dumps({"hits": [_hit(h) for h in hits]}))
        return
    for number, hit in enumerate(hits, 1):
        _show_hit(number, hit)
    if not hits:
        click.echo("Nothing found.", err=True)


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _read_queries(path: str) -> Iterator[dict[str, Any]]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{number}: not a JSON object ({error.msg}).") from None
        if not isinstance(entry, dict) or not isinstance(entry.get("question"), str):
            raise InputError(f'{path}:{number}: needs an object with a text "question".')
        yield entry


def _hit(hit: Hit) -> dict[str, Any]:
    return {
        "file": hit.file,
        "page": hit.page,
        "quote": hit.quote,
        "score": hit.score,
        "box": list(hit.box) if hit.box else None,
        "section": hit.section,
        "kind": hit.kind,
        "text": hit.text,
    }


def _show_hit(number: int, hit: Hit) -> None:
    section = f"  {hit.section}" if hit.section else ""
    head = f"[{number}] {hit.file} p.{hit.page}"
    click.echo(click.style(head, bold=True) + section)
    click.echo("    " + hit.quote.replace("\n", "\n    "))


@docs.command("list")
@_index_option
@_json_option
def list_documents(index_path: str | None, as_json: bool) -> None:
    """List the documents of the index."""
    from qwenbelt.tools.documents.library import command_index

    with command_index(index_path) as index:
        documents = index.documents()
    if as_json:
        rows = [
            {
                "id": d.id,
                "file": d.file,
                "path": d.path,
                "title": d.title,
                "pages": d.pages,
                "chunks": d.chunks,
                "bytes": d.bytes,
                "added": d.added,
                "notes": list(d.notes),
            }
            for d in documents
        ]
        click.echo(_dumps({"documents": rows}))
        return
    for d in documents:
        click.echo(f"{d.file}: {d.pages} pages, {d.chunks} passages  {d.path}")


@docs.command()
@click.argument("files", nargs=-1, required=True, metavar="NAME...")
@_index_option
@_json_option
def remove(files: tuple[str, ...], index_path: str | None, as_json: bool) -> None:
    """Remove documents from the index, by name or path."""
    from qwenbelt.tools.documents.library import command_index

    with command_index(index_path) as index:
        removed = index.remove(files)
    if as_json:
        click.echo(_dumps({"removed": removed}))
        return
    for name in removed:
        click.echo(f"{name}: removed")
