"""Pages of the web for a research: searched for, read once, and kept as documents.

What is kept is the copy that was read, beside the report, so that each citation can be looked up
again when the page has changed or gone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, Field

from qwenbelt.core.errors import AnswerInvalid, EndpointError, QwenbeltError, one_line
from qwenbelt.core.files import write_bytes, write_text
from qwenbelt.core.language import Language
from qwenbelt.workflows.research.prompts import QUERIES

FOLDER = "web"  # inside the report's
LIST = "pages.json"
MOST_QUERIES, HITS, MOST_PAGES, AT_ONCE = 6, 6, 12, 4


class WebQueries(BaseModel):
    """What is searched for in the web."""

    queries: list[str] = Field(min_length=1, max_length=MOST_QUERIES)


def web_pages(
    question: str,
    out: Path,
    *,
    llm: Any,
    language: Language,
    fresh: bool,
    tell: Callable[[str, float | None], None],
) -> list[Path]:
    """Returns copies of pages that may answer a question; those of an earlier start are used again.

    Args:
        question: what to find out.
        out: the report's folder.
        llm: writes the queries.
        language: of the question.
        fresh: read anew, whatever is there.
        tell: is given progress, and what could not be read.

    Raises:
        ConfigError: no search provider is configured.
        EndpointError: neither the model nor the provider answered, or no page could be read.
    """
    from qwenbelt.tools.web.search import search_web

    folder = out / FOLDER
    known = [] if fresh else _kept(folder, question)
    if known:
        return known
    urls: dict[str, None] = {}
    found = [search_web(query, HITS) for query in _queries(question, llm, language)]
    for place in range(HITS):  # the first hit of each query, then the second
        urls.update(dict.fromkeys(hits[place].url for hits in found if place < len(hits)))
    chosen = list(urls)[:MOST_PAGES]
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        read = list(pool.map(lambda url: _read(url, folder), chosen))
    pages = {}
    for url, (path, problem) in zip(chosen, read, strict=True):
        if path is None:
            tell(problem, None)
        else:
            pages[url] = path.name
            tell(url, len(pages) / len(chosen))
    if not pages:
        raise EndpointError("No page that was found in the web could be read.")
    listed = {"question": question, "pages": pages}
    write_text(folder / LIST, json.dumps(listed, ensure_ascii=False, indent=1))
    return [folder / name for name in pages.values()]


def _queries(question: str, llm: Any, language: Language) -> Sequence[str]:
    from qwenbelt.agents import FnCallAgent

    said = QUERIES[language].format(most=MOST_QUERIES)
    try:
        agent = FnCallAgent(llm=llm, system_message=said, name="planner")
        written = agent.ask(question, answer=WebQueries, lang=language).value.queries
    except AnswerInvalid:
        written = []
    clean = (" ".join(query.split())[:300] for query in written)
    return list(dict.fromkeys(query for query in clean if query)) or [question[:300]]


def _kept(folder: Path, question: str) -> list[Path]:
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        listed = json.loads((folder / LIST).read_text(encoding="utf-8"))
        paths = [folder / Path(name).name for name in listed["pages"].values()]
        if listed["question"] == question and all(path.is_file() for path in paths):
            return paths
    return []


def _read(url: str, folder: Path) -> tuple[Path | None, str]:
    """Returns the copy of a page, or None and why there is none."""
    from qwenbelt.tools.web.download import download_url
    from qwenbelt.tools.web.tool import page_text

    try:
        found = download_url(url)
        path = folder / _name(found.url)
        if found.data.startswith(b"%PDF-"):
            write_bytes(path.with_suffix(".pdf"), found.data)
            return path.with_suffix(".pdf"), ""
        title, text = page_text(found, "en")
        if not text.strip():
            return None, f"{url}: holds no text."
        head = f"# {one_line(title, 300)}\n\n{found.url}\n\n"
        write_text(path.with_suffix(".md"), head + text)
        return path.with_suffix(".md"), ""
    except QwenbeltError as error:  # one page must not cost the others
        return None, one_line(str(error), 300)


def _name(url: str) -> str:
    """Returns a file's name for a page, by which a reader knows the place."""
    parts = urlsplit(url)
    words = re.sub(r"[^A-Za-z0-9]+", "-", f"{parts.hostname or ''}{parts.path}").strip("-")
    digest = hashlib.sha256(url.encode("utf-8", "replace")).hexdigest()[:6]
    return f"{words[:60].strip('-') or 'page'}-{digest}.md"
