"""`Result`: what `agent.ask` returns."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenbelt.core.events import Done, Event, Notice, ToolFinished, Usage
from qwenbelt.core.language import Language

_CITED = re.compile(r"\[(\d{1,3})\](?!\()")
_CITED_PAGE = re.compile(r"\[([^\[\]\n]+?)\s+p\.\s?(\d+)\](?!\()")
_PASSAGE = re.compile(
    r"^\[(?P<n>\d{1,3})\] (?P<file>[^\n]+?) p\. ?(?P<page>\d+)(?: \([^\n]*\))?$", re.MULTILINE
)
_QUOTE = 300  # characters of a passage that are shown for it


@dataclass(frozen=True)
class Citation:
    """A passage that the answer cites.

    Attributes:
        n: its number in the answer, or None where the answer names file and page.
        file: the document's name.
        page: from 1.
        quote: the beginning of the passage that the model was shown.
        verified: whether these words were found on the page again.
    """

    n: int | None
    file: str
    page: int
    quote: str
    verified: bool


@dataclass(frozen=True)
class TotalUsage:
    """Tokens of a whole run, as the endpoint counted them.

    Attributes:
        requests: replies of models.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


@dataclass
class Result:
    """The answer to one question, and what it took.

    Attributes:
        text: the final answer.
        value: the typed answer; None without `answer=`.
        citations: the passages that the answer cites.
        images: paths of pictures that tools made.
        files: paths of other files that tools made.
        usage: tokens.
        cost: money, when prices are known, in `currency`.
        reason: why the run ended: "answer", or what stopped it (see `Done`).
        detail: one line about a reason other than "answer".
        messages: the messages that the run added, as qwen-agent message dicts.
        trace: all events of the run.
        notices: what a person should know.
    """

    text: str = ""
    value: Any = None
    citations: list[Citation] = field(default_factory=list)
    images: list[Path] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    usage: TotalUsage = field(default_factory=TotalUsage)
    cost: float | None = None
    currency: str = ""
    reason: str = ""
    detail: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    trace: list[Event] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """The answer for a notebook: text, figures, citations."""
        parts = [f"<div>{_paragraphs(self.text)}</div>"]
        parts += [f'<img src="{_inline(path)}" style="max-width:100%">' for path in self.images]
        if self.citations:
            rows = (
                f"<li>{'' if c.n is None else f'[{c.n}] '}{html.escape(c.file)} p. {c.page}"
                f"{'' if c.verified else ' (not verified)'}: {html.escape(c.quote[:160])}</li>"
                for c in self.citations
            )
            parts.append(f"<ul>{''.join(rows)}</ul>")
        return "\n".join(parts)


def result_of(
    events: Sequence[Event],
    value: Any,
    files: Mapping[str, Path],
    shown_before: Iterable[str] = (),
) -> Result:
    """Returns the result of a run.

    Args:
        events: all events of it.
        value: the typed answer.
        files: the conversation's files by the name that the model sees.
        shown_before: texts with numbered passages that the model was given with the question.
    """
    done = next((e for e in reversed(events) if isinstance(e, Done)), Done("cancelled", ""))
    ended = [e for e in events if isinstance(e, ToolFinished)]
    # what works in the background ends as a nested call of itself
    finished = [e for e in ended if not e.parent or e.call_id == f"{e.parent}.result"]
    usages = [e for e in events if isinstance(e, Usage)]
    costs = [e.cost for e in usages if e.cost is not None]
    images, others = _made(finished)
    texts = [*shown_before, *(e.result for e in events if isinstance(e, ToolFinished))]
    return Result(
        text=done.text,
        value=value,
        citations=list(citations_in(done.text, texts, files)),
        images=images,
        files=others,
        usage=TotalUsage(
            requests=len(usages),
            input_tokens=sum(e.input_tokens for e in usages),
            output_tokens=sum(e.output_tokens for e in usages),
            cached_tokens=sum(e.cached_tokens for e in usages),
            cache_write_tokens=sum(getattr(e, "cache_write_tokens", 0) for e in usages),
            reasoning_tokens=sum(e.reasoning_tokens for e in usages),
        ),
        cost=sum(costs) if costs else None,
        currency=next((e.currency for e in usages if e.currency), ""),
        reason=done.reason,
        detail=done.detail,
        messages=done.messages,
        trace=list(events),
        notices=[e.text for e in events if isinstance(e, Notice)],
    )


def _made(finished: Sequence[ToolFinished]) -> tuple[list[Path], list[Path]]:
    """Returns the pictures and the other files of calls, each once, in order."""
    images: dict[Path, None] = {}
    others: dict[Path, None] = {}
    for event in finished:
        for item in event.items:
            if item.kind != "text" and not item.value.startswith(("data:", "http:", "https:")):
                (images if item.kind == "image" else others)[Path(item.value)] = None
    return list(images), list(others)


def citations_in(
    answer: str, texts: Iterable[str], files: Mapping[str, Path]
) -> Iterator[Citation]:
    """Yields the passages that an answer cites, by the texts in which they were shown.

    Args:
        answer: may cite `[3]`, the number of a passage, or `[file.pdf p.3]`.
        texts: results of document tools; of two passages of one number the later one counts.
        files: the conversation's files by name.
    """
    from qwenbelt.agents.answers.cited import stands_on_page

    shown: dict[int, tuple[str, int, str]] = {}
    for text in texts:
        heads = list(_PASSAGE.finditer(text))
        ends = [*(head.start() for head in heads[1:]), len(text)]
        for head, end in zip(heads, ends, strict=False):
            words = _without_advice(text[head.end() : end]).strip()
            shown[int(head["n"])] = (head["file"].strip(), int(head["page"]), words)
    for number in dict.fromkeys(int(n) for n in _CITED.findall(answer)):
        if number in shown:
            file, page, words = shown[number]
            quote = _quote(words)
            yield Citation(number, file, page, quote, stands_on_page(files, file, page, quote))
    for file, page_text in dict.fromkeys(_CITED_PAGE.findall(answer)):
        page = int(page_text)
        known = (w for f, p, w in shown.values() if (f, p) == (file.strip(), page))
        quote = _quote(next(known, ""))
        verified = bool(quote) and stands_on_page(files, file.strip(), page, quote)
        yield Citation(None, file.strip(), page, quote, verified)


def _without_advice(text: str) -> str:
    """Returns a passage without the tool's remarks below the last one."""
    from qwenbelt.tools.documents.strings import say

    languages: tuple[Language, ...] = ("en", "zh")
    for key in ("more", "more_numbered"):
        for language in languages:
            text = text.split(say(key, language))[0]
    return text


def _quote(words: str) -> str:
    """The first lines of a passage, cut between words."""
    if len(words) <= _QUOTE:
        return words
    return words[:_QUOTE].rsplit(None, 1)[0]


def _paragraphs(text: str) -> str:
    return "<br>".join(html.escape(text).split("\n"))


def _inline(path: Path) -> str:
    import base64
    import mimetypes

    kind = mimetypes.guess_type(path.name)[0] or "image/png"
    try:
        return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    except OSError:
        return ""
