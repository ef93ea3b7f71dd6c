"""Years of a question that are after all that the documents report.

A report of 2022 may well say 2024: notes fall due then, a patent ends. A page with that year is
found, and small models take a figure from it. So a year counts as unknown where it is later than
any on the pages of the statements, no page speaks of it as a period, and the question does not
ask for what is still to come.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from qwenbelt.tools.documents.search.statements import BALANCE, CASH, INCOME

if TYPE_CHECKING:
    from qwenbelt.tools.documents.search.focused import DocumentWords

_YEAR = re.compile(r"(?<![\d.,/-])(?:19|20)\d\d(?![\d/-]|[.,]\d)")
_SHORT = re.compile(r"\bFY\s?['’]?(\d\d)\b", re.I)
_TO_COME = re.compile(
    r"\b(?:due|matur\w+|expir\w+|expect\w*|forecast\w*|project(?:ed|ion|s)?\b|guid\w+|outlook|plan\w*|"
    r"target\w*|goals?|will|would|future|estimat\w+|anticipat\w+|schedul\w+|commit\w+|oblig\w+|"
    r"until|through|thereafter|by|leas\w+|amorti[sz]\w+|repay\w*|remain\w*|payments?|payable|"
    r"contract\w*|vest\w*|long[- ]term|next|upcoming|begin\w*|start\w*|effective)\b|"
    r"预计|预期|预测|到期|届满|计划|目标|指引|展望|将|未来|承诺|义务|租赁|摊销|偿还|支付",
    re.I,
)
_PERIOD = (
    r"\b(?:fiscal|FY|years?|quarters?|Q[1-4]|months|weeks|half|H[12]|ended|ending)\b[^.\n]{{0,24}}{year}"
    r"|FY\s?['’]?{short}\b|{year}\s*(?:财年|年度|年第|年上半|年下半)"
)


def unknown_years(question: str, held: Sequence[DocumentWords]) -> tuple[str, ...]:
    """Returns the years, ascending; none where one of those that are asked for may be told.

    Args:
        question: what is asked.
        held: all documents that may answer.
    """
    asked = {int(year) for year in _YEAR.findall(_SHORT.sub(r"20\1", question))}
    if not asked or _TO_COME.search(question):
        return ()
    latest = max((year for one in held for year in _reported(one)), default=0)
    if not latest or min(asked) <= latest:
        return ()  # no statements to go by, or one of its years is there
    told = re.compile("|".join(_PERIOD.format(year=y, short=y % 100) for y in asked), re.I)
    if any(told.search(page.text) for one in held for page in one.pages.values()):
        return ()
    return tuple(str(year) for year in sorted(asked))


def _reported(document: DocumentWords) -> Iterator[int]:
    """Yields the years on the pages of a document's statements."""
    for kind in (INCOME, BALANCE, CASH):
        page = document.statement_page(kind)
        if page is not None:
            yield from (int(year) for year in _YEAR.findall(document.pages[page].text))
