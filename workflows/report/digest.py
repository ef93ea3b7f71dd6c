"""What a report shows beside its evidence: summary, key figures, what is missing or disagrees.

Nothing here is new: every word is of the report's own blocks, or of the comparison of documents.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from qwenbelt.core.errors import one_line
from qwenbelt.tools.documents.grounding import abstains
from qwenbelt.workflows.report.document import ReportCitation, ReportDocument
from qwenbelt.workflows.report.prose import Node, plain_text

MOST_TILES, LONGEST_TILE, LONGEST_LABEL, MOST_SAID = 4, 26, 90, 8
_LEAST_REST = 2  # blocks below the summary; a report of two paragraphs needs no box
_ASKS_NUMBERS = re.compile(
    r"(?i)\bhow (?:much|many|large|high|big|long|far|fast|does .* compare)\b|\b(?:amount|average|"
    r"compare|cost|figures?|growth|grew|margin|mean|number|per ?cent|percentage|price|profit|ratio"
    r"|rate|revenue|sales|share|total|values?)\b|[%$€£¥]|多少|几|比例|比率|占比|增长|收入|营收|利润"
    r"|金额|数量|总额|平均|价格|成本|相比|比较|数值|均值"
)
_NUMBER = re.compile(r"\d")
_DISAGREES = re.compile(
    r"(?i)\b(?:contradict\w*|disagree\w*|inconsisten\w*|conflict(?:s|ing)?|discrepanc\w+"
    r"|do(?:es)? not (?:agree|match)|that of \S+ does not|differs? (?:from|between))\b"
    r"|不一致|矛盾|不符|相冲突|有出入|不相同|两.{0,6}不同"
)
_LINKING = re.compile(r"(?i)[,，]?\s*(?:\b(?:is|are|was|were|of|at|to|by|with)|为|是|约)$")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z“\"(\d])|(?<=[。！？])")


@dataclass(frozen=True)
class KeyFigure:
    """A number of the answer: its value, its meaning, and its place."""

    value: str
    label: str
    cites: tuple[int, ...] = ()


@dataclass
class ReportDigest:
    """The parts of a report in the order in which they are shown.

    Attributes:
        lead: the answer in short.
        tiles: its key figures, where the question asks for numbers.
        rest: the evidence.
        disagree: sentences that say that documents do not agree, each as inline nodes.
        missing: sentences that say that something is not in the documents.
    """

    lead: list[Node]
    tiles: list[KeyFigure]
    rest: list[Node]
    disagree: list[list[Node]] = field(default_factory=list)
    missing: list[list[Node]] = field(default_factory=list)


def digest(report: ReportDocument) -> ReportDigest:
    """Returns the parts of a report; one that was made without a model has no summary."""
    blocks = report.blocks
    if report.made.model is None or not report.grounded:
        return ReportDigest([], [], blocks, report.differing)
    count = next((n for n, b in enumerate(blocks) if b["kind"] != "paragraph"), len(blocks))
    count = min(count, 2) if len(blocks) - min(count, 2) >= _LEAST_REST else 0
    lead, rest = blocks[:count], blocks[count:]
    tiles = _tiles(lead) if _ASKS_NUMBERS.search(report.question) else []
    sentences = list(_sentences(blocks))
    disagree, missing = _that(sentences, _disagrees), _that(sentences, abstains)
    if any(_cited(sentence) for sentence in disagree):  # the others say the same in other words
        disagree = [sentence for sentence in disagree if _cited(sentence)]
    disagree = [*report.differing, *_not_told(disagree, report)][:MOST_SAID]
    return ReportDigest(lead, tiles, _without(rest, missing), disagree, missing)


def _not_told(sentences: Sequence[list[Node]], report: ReportDocument) -> list[list[Node]]:
    """Returns sentences without those on what the comparison of the documents tells already."""
    known = [[place.text for place in one.places] for one in report.disagreements]
    cited = [set(_cited(sentence)) for sentence in report.differing]
    return [
        sentence
        for sentence in sentences
        if not any(both <= set(_cited(sentence)) for both in cited)
        and not any(all(t in plain_text(list(sentence)) for t in both) for both in known)
    ]


def sources(sentence: Sequence[Node], report: ReportDocument) -> list[ReportCitation]:
    """Returns the passages that a sentence sets against each other; none where it cites one."""
    numbers = set(_cited(sentence))
    found = [citation for citation in report.citations if citation.n in numbers]
    return found if len(found) > 1 else []


def _cited(sentence: Sequence[Node]) -> list[int]:
    return [node["n"] for node in sentence if node["kind"] == "cite"]


def _without(blocks: Sequence[Node], said: Sequence[list[Node]]) -> list[Node]:
    """Returns the blocks without paragraphs, and their headings, that a section repeats whole."""
    known = {plain_text(list(sentence)).strip() for sentence in said}
    kept: list[Node] = []
    for place, block in enumerate(blocks):
        texts = [plain_text(list(s)).strip() for s in _sentences([block])]
        if block["kind"] == "paragraph" and any(texts) and known.issuperset(filter(None, texts)):
            end = place + 1 == len(blocks) or blocks[place + 1]["kind"] == "heading"
            if end and kept and kept[-1]["kind"] == "heading":
                kept.pop()
            continue
        kept.append(block)
    return kept


def _disagrees(text: str) -> bool:
    return bool(_DISAGREES.search(text))


def _that(sentences: Sequence[list[Node]], says: Callable[[str], bool]) -> list[list[Node]]:
    found: dict[str, list[Node]] = {}
    for sentence in sentences:
        text = plain_text(list(sentence)).strip()
        if says(text):
            found.setdefault(text, sentence)
    return list(found.values())[:MOST_SAID]


def _sentences(blocks: Sequence[Node]) -> Iterator[list[Node]]:
    """Yields the sentences of paragraphs and lists, with their marks."""
    for block in blocks:
        if block["kind"] == "paragraph":
            yield from sentences_of(block["inline"])
        elif block["kind"] == "list":
            for item in block["items"]:
                yield from _sentences(item)
        elif block["kind"] == "quote":
            yield from _sentences(block["blocks"])


def sentences_of(inline: Sequence[Node]) -> Iterator[list[Node]]:
    """Yields inline nodes sentence by sentence; marks behind a full stop belong before it."""
    current: list[Node] = []
    for node in inline:
        if node["kind"] != "text":
            current.append(node)
            continue
        pieces = _SENTENCE.split(node["text"])
        for piece in pieces[:-1]:
            yield [*current, {**node, "text": piece}]
            current = []
        if pieces[-1]:
            current.append({**node, "text": pieces[-1]})
    if current:
        yield current


def _tiles(lead: Sequence[Node]) -> list[KeyFigure]:
    found: dict[str, KeyFigure] = {}
    for sentence in _sentences(lead):
        cites = tuple(node["n"] for node in sentence if node["kind"] == "cite")
        for place, node in enumerate(sentence):
            value = plain_text(node["inline"]).strip() if node["kind"] == "strong" else ""
            if value and len(value) <= LONGEST_TILE and _NUMBER.search(value):
                label = _label(sentence, place)
                found.setdefault(value, KeyFigure(value, label, cites[:2]))
    return list(found.values())[:MOST_TILES] if len(found) > 1 else []


def _label(sentence: Sequence[Node], place: int) -> str:
    """Returns the words of a sentence that lead to a number: what the number is of."""
    before = plain_text([n for n in sentence[:place] if n["kind"] != "cite"])
    before = re.split(r"[,;:，；：（(]", before.rstrip(" ,;:，；：（("))[-1]
    text = before.strip() or plain_text([n for n in sentence[place + 1 :] if n["kind"] != "cite"])
    text = _LINKING.sub("", text.strip(" .,;:，。；："))
    return one_line(text[:1].upper() + text[1:], LONGEST_LABEL)
