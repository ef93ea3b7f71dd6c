"""Checks of a model's report before it is called done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from qwenbelt.core.language import Language
from qwenbelt.tools.documents.grounding import (
    CitedText,
    Claim,
    GroundingCheck,
    check_claims,
    claims_of,
)
from qwenbelt.workflows.report.document import ReportCitation, ReportDocument
from qwenbelt.workflows.report.prose import Node, plain_text
from qwenbelt.workflows.report.strings import say

PageText = Callable[[ReportCitation], str]
MOST_TOLD = 6
LEAST_REPEATED = 20  # characters of a notice's line


def report_checks(
    report: ReportDocument,
    page_text: PageText,
    *,
    unknown: Sequence[str] = (),
    computed: Sequence[str] = (),
) -> list[GroundingCheck]:
    """Returns what became of each claim of a report; empty for one that claims nothing.

    Args:
        report: the report.
        page_text: reads the page that a citation names.
        unknown: distinctive words of the question that are nowhere in the documents.
        computed: what tools printed that compute.
    """
    cited = {c.n: CitedText(c.page, page_text(c)) for c in report.citations}
    claims = list(_claims(report.blocks, cited))
    checks = check_claims(claims, report.question, unknown=unknown, computed=computed)
    if checks or any(claim.cited for claim in claims):
        checks += [
            GroundingCheck(c.quote, c.page, "quote_not_found")
            for c in report.citations
            if not c.verified
        ]
    return checks


def is_grounded(checks: Sequence[GroundingCheck]) -> bool:
    """Returns whether every check passed."""
    return all(check.ok for check in checks)


def problems(checks: Sequence[GroundingCheck], language: Language) -> list[str]:
    """Returns what is wrong, one line each, each thing once."""
    lines = []
    for check in checks:
        if not check.ok:
            words = {"figure": check.figure, "claim": check.claim, "page": check.page or "?"}
            lines.append(say(f"check_{check.status}", language, computed=check.computed, **words))
    return list(dict.fromkeys(lines))[:MOST_TOLD]


def repair_prompt(checks: Sequence[GroundingCheck], language: Language) -> str:
    """Returns the message that asks the model to correct its answer."""
    lines = "\n".join(f"- {line}" for line in problems(checks, language))
    return say("repair", language, problems=lines)


def repeats(answer: str, prompt: str) -> bool:
    """Returns whether an answer is what it was told: a 1.5B writes the notice down again."""
    lines = (line.strip(" -") for line in prompt.splitlines())
    return any(len(line) >= LEAST_REPEATED and line in answer for line in lines)


def _claims(blocks: Sequence[Node], cited: dict[int, CitedText]) -> Iterator[Claim]:
    for block in blocks:
        kind = block["kind"]
        if kind == "paragraph":
            yield from claims_of(_parts(block["inline"], cited))
        elif kind == "table":
            for row in block["rows"]:
                parts = [part for cell in row for part in [*_parts(cell, cited), (" ", ())]]
                text = "".join(text for text, _ in parts)
                yield Claim(text, tuple(page for _, pages in parts for page in pages))
        elif kind == "list":
            for item in block["items"]:
                yield from _claims(item, cited)
        elif kind == "quote":
            yield from _claims(block["blocks"], cited)


def _parts(
    nodes: Sequence[Node], cited: dict[int, CitedText]
) -> Iterator[tuple[str, tuple[CitedText, ...]]]:
    for node in nodes:
        if node["kind"] == "cite":
            found = cited.get(node.get("n", 0))
            yield "", () if found is None else (found,)
        elif "inline" in node:
            yield plain_text(node["inline"]), ()
            yield from (p for p in _parts(node["inline"], cited) if p[1])
        else:
            yield node.get("text", "\n"), ()
