"""Makes a table of papers from their PDFs, with the page that each entry was read from."""

from __future__ import annotations

import argparse
import csv
import re
from pathlib import Path
from typing import Any

import pdfplumber

COLUMNS = ["file", "title", "authors", "year", "doi", "abstract", "pages", "where"]
FIRST_PAGES = 3
_DOI = re.compile(r"\b10\.\d{4,9}/[^\s\"<>]+[^\s\"<>.,;)\]]")
_YEAR = re.compile(
    r"(?:published|accepted|received|copyright|©|\(c\)|conference|proceedings|journal|vol(?:ume|\.)"
    r"|arxiv:\S+)[^\n]{0,80}?\b((?:19|20)\d\d)\b",
    re.IGNORECASE,
)
_ABSTRACT = re.compile(
    r"(?im)^\s*(?:abstract|摘\s*要)\s*[.:—–-]?\s*(.+?)"
    r"(?=^\s*(?:\d+\.?\s+|i\.\s+)?(?:introduction|keywords?|index terms|关键词|引言)\b|\Z)",
    re.DOTALL,
)
_NO_AUTHOR = re.compile(r"@|universit|institut|department|school|abstract|http|\d{4}|摘要", re.I)


def entry_of(path: Path) -> dict[str, Any]:
    """Returns a row about a paper."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS, "")
    row["file"] = path.name
    where: dict[str, int] = {}
    with pdfplumber.open(path) as pdf:
        row["pages"] = len(pdf.pages)
        texts = [page.extract_text() or "" for page in pdf.pages[:FIRST_PAGES]]
        if pdf.pages:
            title, after = title_of(pdf.pages[0])
            row["title"], row["authors"] = title, authors_of(after)
            where.update({key: 1 for key in ("title", "authors") if row[key]})
    for number, text in enumerate(texts, 1):
        for key, found in (("doi", _DOI.search(text)), ("year", _YEAR.search(text))):
            if found and not row[key]:
                row[key] = found[1] if key == "year" else found[0]
                where[key] = number
        abstract = _ABSTRACT.search(text)
        if abstract and not row["abstract"]:
            words = re.sub(r"-\n(?=[a-z])", "", abstract[1])
            row["abstract"] = " ".join(words.split())[:1500]
            where["abstract"] = number
    row["where"] = "; ".join(f"{key} p.{page}" for key, page in where.items())
    return row


def title_of(page: Any) -> tuple[str, list[str]]:
    """Returns the largest lines near the top of a page, and the lines that follow them."""
    lines = [
        (max(char["size"] for char in line["chars"]), line["top"], line["text"].strip())
        for line in page.extract_text_lines(return_chars=True)
        if line["chars"] and line["text"].strip()
    ]
    top = [line for line in lines if line[1] < page.height * 0.5 and len(line[2]) > 3]
    if not top:
        return "", []
    largest = max(size for size, _, _ in top)
    body = sorted(size for size, _, _ in lines)[len(lines) // 2]
    if largest < body * 1.1:  # nothing stands out: no guess
        return "", []
    marked = [n for n, line in enumerate(lines) if line in top and line[0] >= largest - 0.5]
    first = last = marked[0]
    while last + 1 in marked:
        last += 1
    after = [text for _, _, text in lines[last + 1 : last + 6]]
    return " ".join(text for _, _, text in lines[first : last + 1]), after


def authors_of(lines: list[str]) -> str:
    """Returns the line below the title if it looks like names."""
    for line in lines[:2]:
        if _NO_AUTHOR.search(line):
            break
        names = re.split(r",|;|\band\b|&|、|，", re.sub(r"[\d*†‡∗§]+", "", line))
        good = [" ".join(name.split()) for name in names if name.strip()]
        if good and all(
            re.match(r"^(?:[A-Z][\w.'’-]*|\w{1,3})(?:\s+[\w.'’-]+){0,4}$", n) for n in good
        ):
            return "; ".join(good)
    return ""


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """Returns the table as Markdown."""
    shown = [c for c in COLUMNS if c != "abstract"]
    lines = ["| " + " | ".join(shown) + " |", "|" + "---|" * len(shown)]
    for row in rows:
        lines.append("| " + " | ".join(str(row[c]).replace("|", "\\|") for c in shown) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Reads the command line and writes both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("papers", type=Path, nargs="+")
    parser.add_argument("--out", default="literature")
    given = parser.parse_args()
    rows = []
    for path in given.papers:
        try:
            row = entry_of(path)
        except Exception as error:  # a paper that cannot be read must not cost the others
            print(f"{path.name}: cannot be read ({type(error).__name__}: {error})")
            continue
        rows.append(row)
        missing = [name for name in COLUMNS if not row[name]]
        print(f"{path.name}: {row['title'] or '(no title)'}")
        if missing:
            print(f"  not found: {', '.join(missing)}")
    with Path(f"{given.out}.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    Path(f"{given.out}.md").write_text(as_markdown(rows), encoding="utf-8")
    print(f"{given.out}.csv, {given.out}.md: {len(rows)} papers")
    if not rows:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
