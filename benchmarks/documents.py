"""Reads, indexes and searches the same files as qwen-agent's own parser and keyword search.

    python benchmarks/documents.py DATA [--vectors CACHE.db] [--only PART,...]

DATA holds `retrieval/NAME/{passages,questions}.jsonl`, `filings/{pdfs/*.pdf,questions.jsonl}` and
`odd_pdfs/*.pdf`. CPU seconds and memory are measured in a process of its own for each reader. With
`--vectors` the searches are repeated with the `embed` extra's model; vectors are kept in the file
that is named. What the aims speak of comes again in one table at the end.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from qwenbelt.tools.documents import DocumentIndex, Page

SETS = ("xquad_en", "xquad_zh", "cmrc", "cranfield")
CHINESE = ("xquad_zh", "cmrc")
PAGES = 170  # of the filings, for the readers
QUERY_PAGES = 122
PARTS = ("parsing", "query", "sets", "filings", "stock_filings", "odd", "resume")
Rows = list[dict[str, Any]]
Rank = Callable[[str], list[str]]


def read_jsonl(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def show(title: str, rows: Rows) -> None:
    print(f"\n### {title}\n")
    keys = list(dict.fromkeys(key for row in rows for key in row))
    print("| " + " | ".join(keys) + " |\n|" + "---|" * len(keys))
    for row in rows:
        cells = [row.get(key, "") for key in keys]
        print("| " + " | ".join(f"{c:.3g}" if isinstance(c, float) else str(c) for c in cells), "|")
    sys.stdout.flush()


# Reading

_CHILD = """
import json, resource, sys, time
{imports}
before = resource.getrusage(resource.RUSAGE_SELF)
count = 0
for file in sys.argv[1:]:
{body}
after = resource.getrusage(resource.RUSAGE_SELF)
cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
print(json.dumps([count, cpu, (after.ru_maxrss - before.ru_maxrss) / 1024]))
"""
_READERS = {
    "qwen-agent parse_pdf": (
        "from qwen_agent.tools.simple_doc_parser import parse_pdf",
        "    count += len(parse_pdf(file))",
    ),
    "ours, text and tables": (
        "from qwenbelt.tools.documents.parsing.pdf.reader import read_pages",
        "    count += sum(1 for page in read_pages(file))",
    ),
    "ours, text alone": (
        "from qwenbelt.tools.documents.parsing.pdf.reader import read_pages",
        "    count += sum(1 for page in read_pages(file, layout=False))",
    ),
}
# what the readers import late is loaded before memory is counted
_WARM = """
import pypdfium2, pdfplumber.table, numpy
if "read_pages" in globals():
    import qwenbelt.tools.documents.parsing.pdf.ruled_tables, PIL.Image
"""


def parsing(data: Path) -> Rows:
    files = list(_cut(sorted((data / "filings/pdfs").glob("*.pdf")), PAGES))
    rows: Rows = []
    for name, (imports, body) in _READERS.items():
        code = _CHILD.format(imports=imports + _WARM, body=body)
        runs = [_child(code, files) for _ in range(3)]
        pages, cpu, memory = (statistics.median(column) for column in zip(*runs, strict=True))
        rows.append({"reader": name, "pages": pages, "pages / CPU-s": pages / cpu, "MB": memory})
    for row in rows:
        row["x qwen-agent"] = row["pages / CPU-s"] / rows[0]["pages / CPU-s"]
        row["memory"] = row["MB"] / rows[0]["MB"]
    show("Reading", rows)
    theirs, tables, text = rows
    pages, speed = int(theirs["pages"]), "pages / CPU-s"
    return [
        line(f"{speed}, text and tables ({pages} pages)", theirs[speed], tables[speed], ">= 12 x"),
        line(f"{speed}, text alone", theirs[speed], text[speed], ">= 45 x"),
        line("memory growth, MB", theirs["MB"], tables["MB"], "<= 0.25 x"),
    ]


def line(
    what: str, theirs: float | str, ours: float, aim: str, vectors: float | str = ""
) -> dict[str, Any]:
    """A line of the last table."""
    ratio = ours / theirs if isinstance(theirs, float) and aim.endswith(" x") else ""
    return {
        "measure": what,
        "qwen-agent": theirs,
        "ours": ours,
        "ours / qwen-agent": ratio,
        "ours with vectors": vectors,
        "aim": aim,
    }


def _child(code: str, files: Sequence[str]) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", code, *files], capture_output=True, text=True, check=True
    )
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _cut(files: Sequence[Path], pages: int) -> Iterable[str]:
    """Yields files, the smallest first, until they have so many pages."""
    import pypdfium2

    for file in sorted(files, key=lambda f: f.stat().st_size):
        with pypdfium2.PdfDocument(file) as document:
            pages -= len(document)
        yield str(file)
        if pages <= 0:
            return


# A question to one long file


def query(data: Path) -> Rows:
    import pypdfium2
    from qwen_agent.tools.search_tools.keyword_search import KeywordSearch

    source = max((data / "filings/pdfs").glob("*.pdf"), key=lambda f: f.name.startswith("PFIZER"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "long.pdf")
        with pypdfium2.PdfDocument(source) as whole, pypdfium2.PdfDocument.new() as part:
            part.import_pages(whole, list(range(QUERY_PAGES)))
            part.save(file)
        questions = [q["question"] for q in read_jsonl(data / "filings/questions.jsonl")]
        record = _stock_record(str(file), folder)
        search = KeywordSearch()
        theirs = _times(lambda q: search.call({"query": q}, docs=[record]), questions[:8])
        with DocumentIndex(Path(folder, "i.db")) as index:
            index.add(file)
            ours = _times(lambda q: index.search(q, 10, files=["long.pdf"]), questions)
            again = _times(lambda q: index.add(file), [""] * 20)
    show(
        f"A question to a PDF of {QUERY_PAGES} pages, already read (ms)",
        [
            {"search": "qwen-agent keyword_search", **theirs},
            {"search": "ours", **ours, "times faster": theirs["p50"] / ours["p50"]},
            {"search": "ours: the unchanged file is added again", **again},
        ],
    )
    what = f"ms a question to {QUERY_PAGES} pages, p50"
    return [line(what, theirs["p50"], ours["p50"], "<= 0.002 x")]


def _times(run: Callable[[str], Any], given: Sequence[str]) -> dict[str, float]:
    run(given[0])
    found = []
    for entry in given:
        start = time.perf_counter()
        run(entry)
        found.append(1000 * (time.perf_counter() - start))
    return {"p50": statistics.median(found), "p95": sorted(found)[int(0.95 * (len(found) - 1))]}


def _stock_record(file: str, folder: str) -> Any:
    from qwen_agent.tools.doc_parser import Chunk, DocParser, Record

    cfg = {"path": folder, "max_ref_token": 2000}
    found = DocParser(cfg).call({"url": file})
    chunks = [Chunk(c["content"], c["metadata"], c["token"]) for c in found["raw"]]
    return Record(url=found["url"], raw=chunks, title=found["title"])


# Question sets: which passage answers


def sets(data: Path, embedder: Any, names: Sequence[str] = SETS) -> Rows:
    rows: Rows = []
    for name in names:
        folder = data / "retrieval" / name
        passages = read_jsonl(folder / "passages.jsonl")
        questions = read_jsonl(folder / "questions.jsonl")
        row: dict[str, Any] = {"set": name, "qwen-agent": ndcg(_stock_rank(passages), questions)}
        with tempfile.TemporaryDirectory() as work:
            for passage in passages:
                Path(work, f"{passage['id']}.txt").write_text(passage["text"], encoding="utf-8")
            words = DocumentIndex(Path(work, "i.db"), workers=0)
            words.add(work)
            row["ours"] = ndcg(_rank(words), questions)
            words.close()
            if embedder is not None:
                both = DocumentIndex(Path(work, "i.db"), workers=0, vectors=embedder)
                both.embed()
                row["ours with vectors"] = ndcg(_rank(both), questions)
                row["gain"] = row["ours with vectors"] - row["ours"]
                both.close()
        rows.append(row)
        show(f"nDCG@10 ({name})", rows[-1:])
    show("nDCG@10", rows)
    return [
        line(
            f"nDCG@10 {row['set']}",
            row["qwen-agent"],
            row["ours"],
            ">= qwen-agent" + ("; vectors >= +.01" if row["set"] in CHINESE else ""),
            row.get("ours with vectors", ""),
        )
        for row in rows
    ]


def _rank(index: DocumentIndex) -> Rank:
    def rank(question: str) -> list[str]:
        hits = index.search(question, 10)
        return [hit.file.removesuffix(".txt") for hit in hits]

    return rank


def _stock_rank(passages: Rows) -> Rank:
    """qwen-agent's tokens and BM25; built once here, where its tool builds it for each query."""
    from qwen_agent.tools.search_tools import keyword_search
    from rank_bm25 import BM25Okapi

    ids = [str(passage["id"]) for passage in passages]
    split = keyword_search.split_text_into_keywords
    bm25 = BM25Okapi([split(passage["text"]) for passage in passages])

    def rank(question: str) -> list[str]:
        scores = bm25.get_scores(keyword_search.parse_keyword(question))
        return [ids[n] for n in sorted(range(len(ids)), key=lambda n: -scores[n])[:10]]

    return rank


def ndcg(rank: Rank, questions: Rows) -> float:
    total = 0.0
    for question in questions:
        relevant = {str(n) for n in question["relevant"]}
        found = rank(question["question"])
        gain = sum(1 / math.log2(n + 2) for n, name in enumerate(found) if name in relevant)
        best = sum(1 / math.log2(n + 2) for n in range(min(10, len(relevant))))
        total += gain / best
    return total / len(questions)


# Killed in the middle

_TAKE_IN = """
import sys
from qwenbelt.tools.documents import DocumentIndex, Page
with DocumentIndex(sys.argv[1]) as index:
    index.add(sys.argv[2:])
"""


def resume(data: Path, count: int = 20, pages: int = 30) -> Rows:
    """Kills the taking in of some files again and again, and looks at what is there in the end."""
    import pypdfium2

    with tempfile.TemporaryDirectory() as work:
        files = []
        for source in sorted((data / "filings/pdfs").glob("*.pdf"))[:count]:
            with pypdfium2.PdfDocument(source) as whole, pypdfium2.PdfDocument.new() as part:
                part.import_pages(whole, list(range(min(pages, len(whole)))))
                part.save(Path(work, source.name))
            files.append(Path(work, source.name))
        whole_index = DocumentIndex(Path(work, "whole.db"))
        whole_index.add(files)
        place = Path(work, "killed.db")
        rows: Rows = []
        for kill in range(1, 4):
            process = subprocess.Popen([sys.executable, "-c", _TAKE_IN, place, *files])
            _wait_for(place, kill * count // 5)
            process.kill()
            process.wait()
            with DocumentIndex(place) as index:
                rows.append({"kill -9": kill, "files done": len(index.documents())})
        with DocumentIndex(place) as index:
            states = [added.state for added in index.add(files)]
            same = [_held(index, file) == _held(whole_index, file) for file in files]
            rows.append(
                {
                    "kill -9": "then to the end",
                    "files done": len(index.documents()),
                    "unchanged": states.count("unchanged"),
                    "same pages and passages as without a kill": sum(same),
                }
            )
        whole_index.close()
    show("Killed while taking in files, then resumed", rows)
    what = f"files of {count} as they should be after 3 x kill -9"
    return [line(what, "", sum(same), str(count))]


def _wait_for(place: Path, files: int) -> None:
    while True:
        time.sleep(0.1)
        if place.exists():
            with DocumentIndex(place) as index:
                if len(index.documents()) >= files:
                    return


def _held(index: DocumentIndex, file: Path) -> Any:
    words = index.search("company", 1000, files=[file.name], per_page=None)
    found = [(hit.page, hit.text) for hit in words]
    return [page.text for page in index.pages(file.name)], sorted(found)


# Filings: which page answers


def filings(data: Path, embedder: Any) -> Rows:
    questions = read_jsonl(data / "filings/questions.jsonl")
    files = sorted((data / "filings/pdfs").glob("*.pdf"))
    with tempfile.TemporaryDirectory() as work:
        place = Path(work, "i.db")
        with DocumentIndex(place) as index:
            index.add(files)
            rows = _filing_rows("ours", index, questions)
            first = _first_in_reply(index, questions)
        if embedder is not None:
            with DocumentIndex(place, vectors=embedder) as index:
                index.embed()
                rows += _filing_rows("ours with vectors", index, questions)
    show("Filings: the labelled page among the first k pages", [*rows, first])
    return [
        *(
            line(f"filings, {words['over']}, {key}", "", words[key], aim, both.get(key, ""))
            for words, both in zip(rows[:2], rows[2:] or ({}, {}), strict=True)
            for key, aim in (("hit@1", ""), ("hit@5", ""), ("hit@10", ">= .65"), ("MRR", ""))
        ),
        line("filings, the tool's first passage is of the labelled page", "", first["hit@1"], ""),
    ]


def stock_filings(data: Path) -> Rows:
    """The same with qwen-agent's parser, chunker and keyword search; parsing takes minutes."""
    questions = read_jsonl(data / "filings/questions.jsonl")
    files = sorted((data / "filings/pdfs").glob("*.pdf"))
    with tempfile.TemporaryDirectory() as work:
        records = {file.name: _stock_record(str(file), work) for file in files}
    rows = _stock_filings(records, questions)
    show("Filings, qwen-agent", rows)
    return []


def _filing_rows(name: str, index: DocumentIndex, questions: Rows) -> Rows:
    inside: list[int] = []
    over_all: list[int] = []
    for question in questions:
        file = Path(question["pdf"]).name
        wanted = {(file, page) for page in question["pages"]}
        for found, files in ((inside, [file]), (over_all, None)):
            hits = index.search(question["question"], 10, files=files)
            found.append(_first(wanted, [{(hit.file, hit.page)} for hit in hits]))
    return [
        {"search": name, "over": "the named file", **_shares(inside)},
        {"search": name, "over": "all files", **_shares(over_all)},
    ]


def _first_in_reply(index: DocumentIndex, questions: Rows) -> dict[str, Any]:
    """How often the first passage that the tool shows a model is of the labelled page."""
    from qwenbelt.tools.documents.tool import DocumentSearch

    tool = DocumentSearch({"index": str(index.place)})
    right = 0
    for question in questions:
        file = Path(question["pdf"]).name
        reply = str(tool.call({"query": question["question"], "files": [file]}))
        found = re.search(r"^\[1\] \S+ p\.(\d+)", reply, re.M)
        right += bool(found and int(found[1]) in question["pages"])
    return {"search": "tool reply, first passage", "hit@1": right / len(questions)}


def _stock_filings(records: dict[str, Any], questions: Rows) -> Rows:
    from qwen_agent.tools.search_tools.keyword_search import KeywordSearch

    search = KeywordSearch()
    pages = {
        (record.url, chunk.metadata["chunk_id"]): {
            (name, int(n)) for n in re.findall(r"\[page: (\d+)\]", chunk.content)
        }
        for name, record in records.items()
        for chunk in record.raw
    }
    inside, over_all = [], []
    for question in questions:
        file = Path(question["pdf"]).name
        wanted = {(file, page) for page in question["pages"]}
        for found, docs in ((inside, [records[file]]), (over_all, list(records.values()))):
            ranked = search.sort_by_scores(question["question"], docs)[:10]
            found.append(_first(wanted, [pages[url, chunk] for url, chunk, _ in ranked]))
    name = "qwen-agent (chunks, which may span pages)"
    return [
        {"search": name, "over": "the named file", **_shares(inside)},
        {"search": name, "over": "all files", **_shares(over_all)},
    ]


def _first(wanted: set[tuple[str, int]], found: list[set[tuple[str, int]]]) -> int:
    return next((n for n, pages in enumerate(found, 1) if pages & wanted), 0)


def _shares(ranks: list[int]) -> dict[str, float]:
    shares = {f"hit@{k}": sum(0 < r <= k for r in ranks) / len(ranks) for k in (1, 5, 10)}
    return {**shares, "MRR": sum(1 / r for r in ranks if r) / len(ranks)}


# Odd files: read or refused, and nothing lost without a word


def odd(data: Path) -> Rows:
    """Takes in each odd file on its own; compares its pages with all characters of pdfium."""
    files = sorted((data / "odd_pdfs").glob("*.pdf"))
    states: Counter[str] = Counter()
    silent: list[str] = []
    slowest = (0.0, "")
    with tempfile.TemporaryDirectory() as work, DocumentIndex(Path(work, "i.db")) as index:
        for file in files:
            start = time.perf_counter()
            (added,) = index.add(file)
            slowest = max(slowest, (time.perf_counter() - start, file.name))
            clear = not added.error or (file.name in added.error and "\n" not in added.error)
            states[added.state if clear else "refused in more than one line"] += 1
            if added.state != "failed":
                silent += _lost(file, index.pages(added.document))
    row: dict[str, Any] = {"files": len(files), **states, "lost a fifth silently": len(silent)}
    show("Odd files", [{**row, "slowest s": slowest[0], "slowest file": slowest[1]}])
    print("\n".join(silent))
    done = states["added"] + states["unchanged"] + states["failed"]
    return [
        line("odd files read, or refused in one line", "", done, str(len(files))),
        line("pages that lost over a fifth silently", "", len(silent), "0"),
    ]


def _lost(file: Path, pages: Sequence[Page]) -> Iterable[str]:
    """Yields pages with fewer than four fifths of the characters that pdfium gives, and no note."""
    import pypdfium2

    with pypdfium2.PdfDocument(file) as document:
        for page in pages:
            try:
                text = document[page.number - 1].get_textpage().get_text_range()
            except pypdfium2.PdfiumError:
                text = ""
            given = sum(c.isprintable() and not c.isspace() for c in text)
            kept = sum(not c.isspace() for c in page.text)
            if given >= 20 and kept < 0.8 * given and not page.notes:
                yield f"{file.name} p.{page.number}: {kept} of {given} characters"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--vectors", type=Path, help="a file that keeps vectors")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--only", default=",".join(PARTS))
    given = parser.parse_args()
    embedder: Any = None
    if given.vectors is not None:
        from qwenbelt.tools.documents.search.embedding import OfflineEmbedder
        from qwenbelt.tools.documents.search.vector_cache import CachedEmbedder

        embedder = CachedEmbedder(OfflineEmbedder(), given.vectors)
    parts: dict[str, Callable[[], Rows]] = {
        "parsing": lambda: parsing(given.data),
        "query": lambda: query(given.data),
        "sets": lambda: sets(given.data, embedder, given.sets.split(",")),
        "filings": lambda: filings(given.data, embedder),
        "stock_filings": lambda: stock_filings(given.data),
        "odd": lambda: odd(given.data),
        "resume": lambda: resume(given.data),
    }
    lines = [row for part in given.only.split(",") for row in parts[part]()]
    show("All in one", lines)


if __name__ == "__main__":
    main()
