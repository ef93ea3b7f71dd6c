"""`qwenbelt docs`: the document index, without a model except for `ask`."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwenbelt.apps.echo import echo
from qwenbelt.apps.strings import counted, explain_error, say
from qwenbelt.core.errors import EXIT_FAILED, InputError, one_line
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.terminal import terminal_json

if TYPE_CHECKING:
    from qwenbelt.tools.documents import Added, DocumentIndex, Hit, Progress

_index_option = click.option(
    "--index", "index_path", metavar="FILE", help="The index file; made if missing."
)
_vectors_option = click.option(
    "--vectors", metavar="SPEC", help='Search by meaning too: "offline", or KIND:MODEL[@URL].'
)
MAX_NOTES = 8  # shown of one file; programs get all
MAX_PATH = 4096  # characters
_json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


@contextlib.contextmanager
def _opened_index(path: str | None, *specs: str | None) -> Iterator[DocumentIndex]:
    """Opens the index; prints the notes about its file afterwards."""
    from qwenbelt.tools.documents.library import command_index

    with command_index(path, *specs) as index:
        try:
            yield index
        finally:
            for told in index.told:
                echo(explain_error(told), err=True)


@click.group()
def docs() -> None:
    """Take documents in, search, list and remove them; have a model read all of them."""


@docs.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE|FOLDER|URL...")
@click.option("--password", help="Opens encrypted files.")
@click.option(
    "--reader",
    metavar="SPEC",
    help="A vision model reads scans and figures: vision:KIND:MODEL[@URL].",
)
@_vectors_option
@_index_option
@_json_option
def add(
    files: tuple[str, ...],
    password: str | None,
    reader: str | None,
    vectors: str | None,
    index_path: str | None,
    as_json: bool,
) -> None:
    """Take files, folders and web pages into the index."""
    with _opened_index(index_path, vectors, None, reader) as index:
        results = _add(index, files, password, quiet=as_json)
    if as_json:
        echo(
            terminal_json(
                json.dumps({"files": [_added_line(r) for r in results]}, ensure_ascii=False)
            )
        )
    else:
        for result in results:
            _show_added(result)
        if not results:
            echo(say("no_documents", names=one_line(", ".join(files))), err=True)
    if any(result.state == "failed" for result in results):
        sys.exit(EXIT_FAILED)


def _add(
    index: DocumentIndex, files: tuple[str, ...], password: str | None, *, quiet: bool
) -> list[Added]:
    with progress_bar(quiet=quiet) as show:

        def tell(now: Progress) -> None:
            show(f"{now.file} ({now.done + 1}/{now.files})", now.page, now.pages)

        return index.add(files, password=password, progress=tell)


@contextlib.contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Gives a function that shows what is done: a name, how much, of how much."""
    if quiet or not sys.stderr.isatty():
        yield lambda name, done, of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    name = TextColumn("{task.description}", markup=False)  # a file may be called "[b]"
    columns = (name, BarColumn(), MofNCompleteColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda name, done, of: bar.update(task, description=name, completed=done, total=of)


@docs.command()
@click.argument("question")
@click.argument("files", nargs=-1, required=True, metavar="FILE|FOLDER|URL|NAME...")
@click.option("-e", "--endpoint", metavar="SPEC", help="Model, e.g. dashscope:qwen-plus.")
@click.option("--budget", type=click.IntRange(1), help="Tokens to send and receive in all.")
@click.option("--concurrency", type=click.IntRange(1, 64), help="Requests at the same time.")
@_index_option
@_json_option
def ask(
    question: str,
    files: tuple[str, ...],
    endpoint: str | None,
    index_path: str | None,
    as_json: bool,
    **limits: int | None,
) -> None:
    """Have a model read all pages of documents for a question.

    Search finds the best passages; this is for questions for which every page matters. Quotes are
    looked up on their pages; pages that the budget did not allow are named.
    """
    from qwenbelt.agents import endpoint as find_endpoint
    from qwenbelt.apps.answers import answer_json, answer_lines
    from qwenbelt.core.language import user_language
    from qwenbelt.workflows.longdoc import ask_everything

    llm = find_endpoint(endpoint)
    with _opened_index(index_path) as index, progress_bar(quiet=as_json) as show:
        answer = ask_everything(
            question,
            files,
            llm,
            index=index,
            progress=lambda done, parts: show(question[:40], done, parts),
            **{name: limit for name, limit in limits.items() if limit is not None},
        )
    if as_json:
        echo(_dumps(answer_json(answer)))
    else:
        for line in answer_lines(answer, user_language()):
            echo(line)
    if not answer.grounded:
        raise click.exceptions.Exit(EXIT_FAILED)


def _added_line(result: Added) -> dict[str, Any]:
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
        echo(explain_error(result.error), err=True)
        return
    state = say(f"document_{result.state}")
    if result.document:
        state += say("and_size", size=_size(result.pages, result.chunks))
    echo(say("document", file=one_line(result.file), state=state))
    for note in result.notes[:MAX_NOTES]:
        echo(f"  {explain_error(note)}", err=True)
    if len(result.notes) > MAX_NOTES:
        echo(f"  … {len(result.notes) - MAX_NOTES} (--json)", err=True)


def _size(pages: int, passages: int) -> str:
    return say("size", pages=counted(pages, "page"), passages=counted(passages, "passage"))


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
    with _opened_index(index_path, vectors, rerank) as index:
        if queries is not None:
            for entry in _read_queries(queries):
                named = [entry["file"]] if entry.get("file") else list(files) or None
                hits = index.search(entry["question"], top_k, files=named)
                echo(_dumps({"id": entry.get("id"), "hits": [_hit_lines(h) for h in hits]}))
            return
        hits = index.search(query or "", top_k, files=list(files) or None)
        is_empty = not hits and not index.documents()
    if as_json:
        echo(_dumps({"hits": [_hit_lines(h) for h in hits]}))
        return
    for number, hit in enumerate(hits, 1):
        _show_hit(number, hit)
    if not hits:
        echo(say("index_empty" if is_empty else "nothing_found"), err=True)


def _dumps(value: Any) -> str:
    return terminal_json(json.dumps(value, ensure_ascii=False))


def _read_queries(path: str) -> Iterator[dict[str, Any]]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = loads_bounded(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{number}: not a JSON object ({error.msg}).") from None
        if not isinstance(entry, dict) or not isinstance(entry.get("question"), str):
            raise InputError(f'{path}:{number}: needs an object with a text "question".')
        yield entry


def _hit_lines(hit: Hit) -> dict[str, Any]:
    return {
        "file": hit.file,
        "page": hit.page,
        "quote": hit.quote,
        "score": hit.score,
        "box": list(hit.box) if hit.box else None,
        "section": hit.section,
        "kind": hit.kind,
        "text": hit.text,
        "label": hit.label or None,
        "notes": list(hit.notes),
    }


def _show_hit(number: int, hit: Hit) -> None:
    from qwenbelt.tools.documents.notes import page_name

    section = f"  {hit.section}" if hit.section else ""
    head = f"[{number}] {hit.file} {page_name(hit.page, hit.label)}"
    echo(click.style(head, bold=True) + section)
    echo("    " + hit.quote.replace("\n", "\n    "))
    for note in hit.notes:
        echo(f"    ({explain_error(note)})", err=True)


@docs.command("list")
@_index_option
@_json_option
def list_documents(index_path: str | None, as_json: bool) -> None:
    """List the documents of the index."""
    with _opened_index(index_path) as index:
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
        echo(_dumps({"documents": rows}))
        return
    for d in documents:
        line = say("document", file=one_line(d.file), state=_size(d.pages, d.chunks))
        echo(f"{line}  {one_line(d.path, MAX_PATH)}")


@docs.command()
@click.argument("files", nargs=-1, required=True, metavar="NAME...")
@_index_option
@_json_option
def remove(files: tuple[str, ...], index_path: str | None, as_json: bool) -> None:
    """Remove documents from the index, by name or path."""
    with _opened_index(index_path) as index:
        removed = index.remove(files)
    if as_json:
        echo(_dumps({"removed": removed}))
        return
    for name in removed:
        echo(say("document", file=one_line(name), state=say("document_removed")))
