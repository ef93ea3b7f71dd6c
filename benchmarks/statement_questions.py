"""Questions that code draws from annual reports: are the figures shown, the measures computed?

    python benchmarks/statement_questions.py --filings FILINGS [--show]

FILINGS has `pdfs/NAME_YEAR_10K.pdf`. Nothing is asked of a model.

- **lines**: usual lines of the three statements are looked up on the first page that is such a
  statement, and asked for in three ways: with the statement's name, without, and as a change of two
  years. A question counts when all its figures stand within 9 000 characters of evidence.
- **measures**: 32 usual measures of analysts, with the definition where one is usual. A question
  counts when a line is computed for it: a result or a change, and not a figure that is looked up.
  Not all can be: a bank has no inventories.
- **own words**: questions of `own_words.jsonl`, written with the reports at hand, many in other
  words than theirs. A question counts when all of `needed` (regular expressions) is found within
  9 000 characters.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pdfplumber

from qwenbelt.tools.documents import DocumentIndex
from qwenbelt.tools.documents.evidence import gather_evidence
from qwenbelt.tools.documents.parsing.formats import open_document
from qwenbelt.tools.documents.table_rows import FigureRow, figure_rows

NAMED = {"bs": "balance sheet", "is": "statement of income", "cf": "statement of cash flows"}
HOLDS = {
    "bs": (r"total current liabilities|total liabilities", r"total assets"),
    "is": (r"per share|earnings per|eps", r"cost of|income taxes"),
    "cf": (r"investing activities", r"financing activities"),
}
LINES: dict[str, tuple[str, str]] = {
    "total current assets": ("bs", r"total current assets"),
    "total current liabilities": ("bs", r"total current liabilities"),
    "total assets": ("bs", r"total assets"),
    "total liabilities": ("bs", r"total liabilities"),
    "cash and cash equivalents at year end": ("bs", r"cash and cash equivalents"),
    "accounts receivable": ("bs", r"(?:accounts|trade|net)? ?receivables?.*"),
    "year-end inventory": ("bs", r"(?:total |merchandise )?inventor(?:y|ies)(?:, net)?.*"),
    "net PP&E": ("bs", r"(?:net )?property(?:, plant,? and| and) equipment.*net.*"),
    "accounts payable": ("bs", r"(?:trade )?accounts payable.*"),
    "long-term debt": ("bs", r"long-term debt.*"),
    "total shareholders' equity": ("bs", r"total (?:share|stock)holders['’]? ?equity.*"),
    "goodwill": ("bs", r"goodwill.*"),
    "retained earnings": ("bs", r"(?:retained|reinvested) earnings.*"),
    "deferred revenue": ("bs", r"deferred revenue.*"),
    "treasury stock": ("bs", r"treasury (?:stock|shares).*"),
    "net revenue": ("is", r"(?:total )?(?:net )?(?:revenues?|sales)"),
    "SG&A expense": ("is", r"selling,? general,? and administrative.*"),
    "operating income": ("is", r"(?:total )?operating (?:income|profit).*"),
    "net income attributable to shareholders": ("is", r"net (?:income|earnings).*attributable.*"),
    "research and development expense": ("is", r"research,? (?:and )?development.*"),
    "diluted EPS": ("is", r"diluted.*"),
    "interest expense": ("is", r"interest expense.*"),
    "capital expenditures": ("cf", r"capital expenditures?|(?:purchases|additions).* property.*"),
    "depreciation and amortization": ("cf", r"depreciation(?:,| and).*amortization.*"),
    "cash flow from operations": ("cf", r"net cash (?:provided|\(used).*operati.*"),
    "total cash dividends paid": ("cf", r"(?:cash )?dividends? paid.*|payments? of dividends.*"),
    "cash spent on repurchases of common stock": ("cf", r"(?:re)?purchases? of (?:common|trea).*"),
    "stock-based compensation": ("cf", r"(?:stock|share)-based compensation.*"),
    "cash paid for acquisitions": ("cf", r"acquisitions?.*net of cash.*|business acquisitions"),
}
ASKED = (
    "What is the FY{y} {words} (in USD millions) for {n}? Answer from the {statement}.",
    "How much was {n}'s {words} in FY{y}?",
    "What was the change in {words} between FY{p} and FY{y} for {n}?",
)
_TURN = "365 * (average {0} between FY{{p}} and FY{{y}}) / (FY{{y}} {1})"
_DIO, _DSO = _TURN.format("inventory", "COGS"), _TURN.format("accounts receivable", "revenue")
_DPO = _TURN.format("accounts payable", "COGS + change in inventory between FY{p} and FY{y}")
MEASURES = (
    "What is the FY{y} quick ratio for {n}? Round to two decimals.",
    "What is {n}'s FY{y} current ratio?",
    "What is FY{y} working capital for {n}?",
    f"What is the FY{{y}} days payable outstanding (DPO) for {{n}}? DPO is defined as: {_DPO}.",
    "What is the FY{y} inventory turnover ratio for {n}? Inventory turnover ratio is defined as: "
    "(FY{y} COGS) / (average inventory between FY{p} and FY{y}).",
    f"What is FY{{y}} days sales outstanding (DSO) for {{n}}? DSO is defined as: {_DSO}.",
    "What is the FY{y} fixed asset turnover ratio for {n}? Fixed asset turnover ratio is defined "
    "as: FY{y} revenue / (average PP&E between FY{p} and FY{y}).",
    "What is the FY{y} return on assets (ROA) for {n}? ROA is defined as: FY{y} net income / "
    "(average total assets between FY{p} and FY{y}).",
    "What is the FY{y} total asset turnover ratio for {n}? Asset turnover ratio is defined as: "
    "FY{y} revenue / (average total assets between FY{p} and FY{y}).",
    "What is {n}'s FY{y} free cash flow, defined as cash from operations minus capital "
    "expenditures?",
    "What is the FY{y} operating cash flow ratio for {n}? Operating cash flow ratio is defined as: "
    "cash from operations / total current liabilities.",
    "What is the FY{y} unadjusted EBITDA % margin for {n}? Calculate unadjusted EBITDA using "
    "unadjusted operating income and D&A (from cash flow statement).",
    "What is FY{y} unadjusted operating income + depreciation and amortization for {n}?",
    "What is the FY{y} gross margin of {n}?",
    "What is the FY{y} operating income margin of {n}?",
    "What is the FY{y} net profit margin for {n}?",
    "What is {n}'s FY{y} effective tax rate?",
    "What is the year-over-year change in revenue from FY{p} to FY{y} for {n} in percent?",
    "What is {n}'s FY{y} dividend payout ratio (total cash dividends paid over net income)?",
    "What is the FY{y} retention ratio of {n}?",
    "What is {n}'s FY{y} capital expenditure as a % of revenue?",
    "What is {n}'s FY{y} D&A as a percent of total revenue?",
    "What is the FY{y} interest coverage ratio of {n} (EBIT over gross interest expense)?",
    "What is {n}'s FY{y} debt to equity ratio?",
    "What is the 3 year average of capex as a % of revenue from FY{pp} to FY{y} for {n}?",
    "What is the FY{pp} - FY{y} 2 year total revenue CAGR for {n}?",
    "By how much did {n}'s operating income change from FY{p} to FY{y}, in percent?",
    "What is the FY{y} cash conversion cycle (CCC) for {n}? CCC is defined as: DIO + DSO - DPO. "
    f"DIO is defined as: {_DIO}. DSO is defined as: {_DSO}. DPO is defined as: {_DPO}.",
    "What is the FY{y} return on equity of {n}, net income over average equity?",
    "What is {n}'s SG&A as a percentage of revenue in FY{y}?",
    "What is {n}'s R&D as a percentage of revenue in FY{y}?",
    "What is the FY{y} cash ratio for {n}?",
)
_COMPUTED = re.compile(r" = |; change ")
_FEWEST_FIGURES = 25  # of a page that is a statement


def _flat(text: str) -> str:
    return " ".join(text.split()).lower()


def pages_of(path: Path) -> list[str]:
    """Returns the texts of a document's pages."""
    with pdfplumber.open(path) as pdf:
        count = len(pdf.pages)
    with open_document(path, None) as opened:
        return [page.text for page in opened.read(range(1, count + 1))]


def lines_of(pages: list[str]) -> Iterator[tuple[str, str, FigureRow]]:
    """Yields the lines that a report has: what they are called, their statement, their row."""
    for words, (statement, label) in LINES.items():
        for text in pages:
            low = text.lower()
            if not all(re.search(held, low) for held in HOLDS[statement]):
                continue
            if len(re.findall(r"\d{3}", text)) < _FEWEST_FIGURES:
                continue
            rows = (row for row in figure_rows(text) if re.fullmatch(label, _flat(row.label)))
            row = next((r for r in rows if len(r.printed) > 1 and len(r.printed[0]) > 2), None)
            if row is not None:
                yield words, statement, row
                break


def main() -> None:
    """Prints how many questions have their figures, and how many measures are computed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filings", type=Path, required=True)
    parser.add_argument("--show", action="store_true", help="print what lacks")
    args = parser.parse_args()
    shown, computed = [0, 0], [0, 0]
    with DocumentIndex() as index:
        for path in sorted(args.filings.glob("pdfs/*_10K.pdf")):
            name, year = re.fullmatch(r"(.+)_(\d{4})_10K", path.stem).groups()  # type: ignore[union-attr]
            words = {"n": name.replace("_", " & ").title(), "y": year}
            words |= {"p": str(int(year) - 1), "pp": str(int(year) - 2)}
            document = {path.name: index.add_file(path).document}
            for lacks in _lines(index, document, pages_of(path), words):
                shown = [shown[0] + (not lacks), shown[1] + 1]
                if lacks and args.show:
                    print("not shown:", lacks)
            for question in (one.format(**words) for one in MEASURES):
                found = gather_evidence(index, question, document).computed(question)
                done = any(_COMPUTED.search(line) for line in found)
                computed = [computed[0] + done, computed[1] + 1]
                if args.show:
                    print("computed:" if done else "not computed:", question, *found, sep="\n    ")
        own = [bool(lacks) for lacks in _own_words(index, args.filings / "pdfs", show=args.show)]
    print("| questions | of |\n|---|---|")
    print(f"| lines of statements, all figures shown | {shown[0]} of {shown[1]} |")
    print(f"| measures, computed | {computed[0]} of {computed[1]} |")
    print(f"| in other words, all figures shown | {own.count(False)} of {len(own)} |")


def _lines(
    index: DocumentIndex, document: Mapping[str, int], pages: list[str], words: Mapping[str, str]
) -> Iterator[str]:
    """Yields for each question about a line what of its figures is not shown, or ""."""
    for called, statement, row in lines_of(pages):
        for asked in ASKED:
            wanted = row.printed[: 2 if "change" in asked else 1]
            question = asked.format(words=called, statement=NAMED[statement], **words)
            evidence = _flat(gather_evidence(index, question, document).numbered())
            lacks = [figure for figure in wanted if _flat(figure) not in evidence]
            yield f"{question} {', '.join(lacks)} ({row.label})" if lacks else ""


def _own_words(index: DocumentIndex, folder: Path, *, show: bool) -> Iterator[list[str]]:
    """Yields for each question of `own_words.jsonl` what is not shown of what it needs."""
    for line in Path(__file__).with_name("own_words.jsonl").read_text("utf-8").splitlines():
        asked = json.loads(line)
        document = {asked["file"]: index.add_file(folder / asked["file"]).document}
        evidence = gather_evidence(index, asked["question"], document).numbered()
        text = " ".join(evidence.split())
        lacks = [one for one in asked["needed"] if not re.search(one, text, re.I)]
        if lacks and show:
            print("not shown:", asked["question"], *lacks)
        yield lacks


if __name__ == "__main__":
    main()
