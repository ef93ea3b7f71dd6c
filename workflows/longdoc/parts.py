"""Documents cut into parts that a model reads one by one, within a budget of tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from qwenbelt.agents.runtime.context_window import estimate_tokens
from qwenbelt.core.errors import LimitExceeded
from qwenbelt.tools.documents import DocumentIndex
from qwenbelt.tools.documents.store import Document

PAGE_PIECE = 0.5  # of a part; longer pages are cut
DEPTH = 1000  # passages that say which parts matter most


@dataclass(slots=True)
class PageRange:
    """Some successive pages.

    Attributes:
        text: the pages, each below a line that names file and page.
        tokens: how many it takes, roughly.
        pages: file and page of each.
    """

    text: str = ""
    tokens: int = 0
    pages: list[tuple[str, int]] = field(default_factory=list)


def tokens_in(text: str) -> int:
    """Returns roughly how many tokens a text takes."""
    return estimate_tokens([{"role": "user", "content": text}])


def parts_of(index: DocumentIndex, documents: Sequence[Document], size: int) -> list[PageRange]:
    """Returns all pages of documents as parts of at most `size` tokens, in order."""
    parts = [PageRange()]
    for document in documents:
        for page in index.pages(document.id):
            for text in _pieces(page.text.strip(), max(int(size * PAGE_PIECE), 1)):
                entry = f"[{document.file} p.{page.number}]\n{text}\n\n"
                tokens = tokens_in(entry)
                if parts[-1].pages and parts[-1].tokens + tokens > size:
                    parts.append(PageRange())
                parts[-1].text += entry
                parts[-1].tokens += tokens
                parts[-1].pages.append((document.file, page.number))
    return parts if parts[-1].pages else []


def _pieces(text: str, tokens: int) -> Iterator[str]:
    """Yields a page's text, cut at lines where it is too long."""
    if not text:
        return
    if tokens_in(text) <= tokens:
        yield text
        return
    characters = max(200, len(text) * tokens // tokens_in(text))
    while text:
        cut = len(text)
        if cut > characters:
            cut = text.rfind("\n", characters // 2, characters) + 1 or characters
        yield text[:cut].strip()
        text = text[cut:].strip()


class Cost(NamedTuple):
    """Tokens: what may be spent, what is kept back of it, what a part takes beside its text."""

    budget: int
    reserve: int
    overhead: int

    def of(self, parts: Iterable[PageRange]) -> int:
        """Returns what reading parts takes."""
        return sum(part.tokens + self.overhead for part in parts)


def affordable(
    index: DocumentIndex,
    documents: Sequence[Document],
    question: str,
    parts: list[PageRange],
    cost: Cost,
) -> tuple[list[PageRange], list[PageRange]]:
    """Returns the parts that a budget allows, in order, and those left out.

    Where not all can be read, those go first that hold the passages that fit the question best.

    Raises:
        LimitExceeded: not even the best part can be read.
    """
    left = cost.budget - cost.reserve
    ranks = _ranks(index, documents, question) if cost.of(parts) > left else {}
    order = sorted(
        range(len(parts)),
        key=lambda n: (min((ranks.get(p, DEPTH) for p in parts[n].pages), default=DEPTH), n),
    )
    chosen: set[int] = set()
    for number in order:
        takes = cost.of([parts[number]])
        if takes <= left:
            chosen.add(number)
            left -= takes
    if order and order[0] not in chosen:  # a short one that fits says little
        least = cost.reserve + cost.of([parts[order[0]]])
        raise LimitExceeded(
            f"A budget of {cost.budget} tokens does not suffice for one part of the documents; "
            f"that takes {least}."
        )
    return (
        [part for n, part in enumerate(parts) if n in chosen],
        [part for n, part in enumerate(parts) if n not in chosen],
    )


def _ranks(
    index: DocumentIndex, documents: Sequence[Document], question: str
) -> dict[tuple[str, int], int]:
    hits = index.search(question, DEPTH, files=[document.id for document in documents])
    ranks: dict[tuple[str, int], int] = {}
    for rank, hit in enumerate(hits):
        ranks.setdefault((hit.file, hit.page), rank)
    return ranks
