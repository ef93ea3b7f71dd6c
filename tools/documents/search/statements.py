"""The statements of accounts: which one a question needs, and which page of a document holds it.

A question about a quick ratio names no statement, but every textbook lists the lines it is computed
from. A page is known as a statement by its lines, not by its place: at least a few of the
lines that every such statement has, with numbers behind them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

BALANCE, INCOME, CASH = "balance", "income", "cash"

# what names a statement in a question
_NAMED: dict[str, str] = {
    BALANCE: r"balance sheets?|financial position|资产负债表|财务状况表",
    INCOME: r"(?:income statements?|statements? of (?:income|operations|earnings)|p&l|profit and "
    r"loss)|利润表|损益表",
    CASH: r"cash ?flows? statements?|statements? of cash ?flows?|现金流量表",
}

# what a question may ask for that is read from, or computed from, lines of a statement
_IMPLIED: dict[str, str] = {
    BALANCE: r"capital[- ]intensi\w+|"
    r"(?:quick|current|acid[- ]test|cash|debt|leverage|liquidity)[- ]ratios?|"
    r"working capital|(?:total|current|fixed|tangible|intangible) (?:assets?|liabilit\w+)|"
    r"liabilit\w+|inventor\w+|receivables?|payables?|pp&?n?e|property,? plant|goodwill|"
    r"cash (?:and|&) (?:cash )?equivalents|(?:stock|share)holders['’]? equity|total equity|"
    r"(?:deferred|unearned) (?:revenues?|income)|accrued (?:expenses?|compensation|payroll)|"
    r"retained earnings|accumulated deficit|(?<!of )treasury (?:stock|shares)|"
    r"marketable securities|prepaid expenses?|book value|(?:short|long)[- ]term debt|indebted\w*|"
    r"liquidity|asset turnover|ro[ae]\b|roic|return on (?:total |average )?(?:assets?|equity)|"
    r"dpo|dso|dio|days (?:payable|sales|inventory)\w*|cash conversion cycle|"
    r"流动比率|速动比率|营运资金|资产|负债|存货|应收|应付|商誉|所有者权益|净资产|货币资金|"
    r"预[收付]款|未分配利润|[短长]期借款",
    INCOME: r"capital[- ]intensi\w+|"
    r"(?:gross|operating|profit|net|ebitda?|pre[- ]?tax)(?: \w+)? margins?|"
    r"gross profits?|operating (?:income|profits?|expenses?|costs?)|pre-?tax (?:income|profits?)|"
    r"(?:income|earnings|profits?|loss) before\b|sg&?a\b|selling,? general|r&d (?:expenses?|costs?|"
    r"spend\w*)|research (?:and|&) development (?:expenses?|costs?|spend\w*)|"
    r"(?<!deferred )(?<!unearned )(?:total |net )?(?:revenues?|sales)\b|"
    r"(?:weighted[- ]average|diluted|basic) shares|net (?:income|earnings|loss|profits?)|"
    r"earnings per share|\beps\b|ebitda?|cogs|"
    r"cost of (?:goods|sales|revenues?|products)|(?:effective )?tax rates?|income tax\w*|"
    r"interest (?:expense|income|coverage)|turnover|ro[ae]\b|roic|return on (?:total |average )?"
    r"(?:assets?|equity)|payout|retention ratio|dpo|dso|dio|days (?:payable|sales|inventory)\w*|"
    r"(?:high[- ]growth|fast[- ]growing|grow(?:th|ing)) (?:compan|business|stock|firm)\w*|"
    r"高成长|成长型|"
    r"cash conversion cycle|毛利|营业利润|营业收入|营收|净利|每股收益|营业成本|税率|利润率|"
    r"(?:销售|管理|研发|财务|利息)费用",
    CASH: r"capital[- ]intensi\w+|"
    r"cap(?:ital )?ex(?:penditures?|penses?)?\b|"
    r"capital expenditures?|capital spending|"
    r"free cash ?flows?|\bfcf\b|cash ?flow conversion|cash conversion(?! cycle)|"
    r"(?:operating|investing|financing) (?:cash ?flows?|activities)|cash ?flows?|"
    r"cash (?:from|used|provided|generated|spent|paid|outlays?)|depreciation|amorti[sz]ation|"
    r"dividends? (?:paid|payments?)|payout|retention ratio|"
    r"(?:proceeds|repayments?) (?:from|of)\b|(?:pays?|paid|payments?)\b.{0,20} dividends?|"
    r"(?:re)?purchas\w+ of (?:(?:its|common|treasury|own|company|the) )*(?:stock|shares?)|"
    r"(?:stock|share)[- ]based compensation|"
    r"\bd&a\b|ebitda|现金流|资本(?:性)?(?:支出|开支)|折旧|摊销|回购|股份支付|支付.{0,6}股利",
}

# lines that a statement has, at the beginning of a line of its page
_LINES: dict[str, tuple[str, ...]] = {
    BALANCE: (
        r"total current assets|流动资产合计",
        r"total assets|资产总[计额]",
        r"total current liabilities|流动负债合计",
        r"total liabilities\b|负债合计",
        r"(?:accounts|trade) (?:and \w+ )?payables?|应付账款",
        r"inventor(?:y|ies)|存货",
        r"retained (?:earnings|deficit)|accumulated deficit|reinvested earnings|未分配利润",
        r"total (?:\S+ )*equity|所有者权益合计|股东权益合计",
        r"total liabilities,? (?:and|\S+ \S+ and) .*equity|负债和\S*权益总计",
        r"goodwill|商誉",
        r"cash and cash equivalents|货币资金",
    ),
    INCOME: (
        r"(?:total )?(?:net )?(?:revenues?|sales)\b|(?:一、)?营业(?:总)?收入",
        r"(?:total )?costs? of (?:goods|sales|revenues?|products)|(?:减：)?营业成本",
        r"gross (?:profit|margin)|毛利",
        r"selling|general and administrative|marketing|销售费用|管理费用",
        r"operating (?:income|profit)|income from operations|营业利润",
        r"(?:income|earnings|loss|profit)\b.* before\b.*tax|利润总额",
        r"(?:provision for|benefit from)?.*income tax|所得税费用",
        r"net (?:income|earnings|loss)|(?:五、)?净利润",
        r"(?:basic|diluted)|基本每股收益|稀释每股收益",
        r"interest (?:expense|income)|利息",
    ),
    CASH: (
        r"(?:net )?cash (?:flows? )?.*operating activities|经营活动产生的现金流量净额",
        r"(?:net )?cash (?:flows? )?.*investing activities|投资活动产生的现金流量净额",
        r"(?:net )?cash (?:flows? )?.*financing activities|筹资活动产生的现金流量净额",
        r"depreciation|折旧",
        r"(?:purchases? of|additions to|capital expenditures|购建固定资产).*",
        r"(?:stock|share)[- ]based compensation",
        r"(?:net )?(?:increase|decrease|change)\b.* in cash|现金及现金等价物净增加额",
        r"cash(?: and|,) cash equivalents.*(?:beginning|end) of|期[初末]现金",
        r"dividends paid|payments? of dividends|分配股利",
        r"deferred (?:income )?tax",
    ),
}
_TITLES: dict[str, str] = {
    BALANCE: r"balance sheets?|statements? of financial (?:position|condition)|资产负债表",
    INCOME: r"statements? of (?:consolidated )?(?:comprehensive )?(?:income|operations|earnings)|"
    r"income statements?|利润表",
    CASH: r"statements? of (?:consolidated )?cash flows?|cash flow statements?|现金流量表|"
    r"^reconciliation of net (?:income|earnings) to (?:net )?cash",
}
_ASKED = {kind: re.compile(words, re.I) for kind, words in _NAMED.items()}
_MEANT = {kind: re.compile(rf"(?<![\w&])(?:{w})", re.I) for kind, w in _IMPLIED.items()}
_ROWS = {
    kind: [re.compile(rf"\s*(?:{words})", re.I) for words in lines]
    for kind, lines in _LINES.items()
}
_TITLE = {kind: re.compile(words, re.I) for kind, words in _TITLES.items()}
_NUMBER = re.compile(r"\(?[$€£¥]?\s?\d[\d,]*(?:\.\d+)?\)?|—|–")
_CELLS = re.compile(rf"(?<=\s\s)(?:{_NUMBER.pattern})(?=\s\s|$)")
# what stands beside a statement under nearly its title: other income, the shares behind a line
_ASIDE = re.compile(r"parenthetical|(?:of|and) (?:other )?comprehensive|综合收益", re.I)
_REASON = re.compile(
    r"\b(?:(?<!explain )why|drove|drivers?|driven|reasons?|caused?)\b|为什么|为何|原因", re.I
)
# what is in other tables: parts of the business, and figures that leave something out
_ELSEWHERE = re.compile(
    r"\b(?:segments?|divisions?|regions?|geograph\w+|countr(?:y|ies)|product|categor(?:y|ies)|"
    r"brands?|stores?|organic\w*|adjusted|non-gaap|core|constant currency|exclud\w+|pro forma)\b|"
    r"分部|地区|产品|门店|扣除非经常性|调整后",
    re.I,
)
_TOP_LINES, _TITLE_LENGTH = 10, 90
LONGEST_LINE = 160  # characters in which a row of a table shows its label
_LEAST_LINES, _LEAST_CELLS = 4, 2
IMPLIED = 0.6  # of a statement that is not named, against 1
ASIDE = 0.4  # of that, where reasons or parts of the business are asked for
TITLE = 3.0  # what a title at the top of the page counts, in lines


def wanted_statements(question: str) -> dict[str, float]:
    """Returns the statements that a question needs, 1 for those named, less for those implied."""
    aside = _REASON.search(question) or _ELSEWHERE.search(question)
    implied_weight = IMPLIED * (ASIDE if aside else 1.0)
    named = {kind: 1.0 for kind, words in _ASKED.items() if words.search(question)}
    implied = {kind: implied_weight for kind, words in _MEANT.items() if words.search(question)}
    return {**implied, **named}


def asks_for_parts(question: str) -> bool:
    """Returns whether a question is about parts of the business, or figures that leave some out."""
    return _ELSEWHERE.search(question) is not None


def statement_score(kind: str, text: str) -> float:
    """Returns how much a page is this statement: its typical lines with numbers, and its title."""
    lines = text.split("\n")
    seen: set[int] = set()
    for line in lines:
        if not _NUMBER.search(line[:LONGEST_LINE]):
            continue
        for number, row in enumerate(_ROWS[kind]):
            if number not in seen and row.match(line[:LONGEST_LINE]):
                seen.add(number)
                break
    if len(seen) < _LEAST_LINES:
        return 0.0
    title = _TITLE[kind]
    top = [line for line in lines[:_TOP_LINES] if len(line) < _TITLE_LENGTH]
    return len(seen) + TITLE * any(title.search(line) for line in top)


def goes_on(kind: str, text: str) -> bool:
    """Returns whether a page beside a statement's is the rest of it: its title, then figures.

    Assets and liabilities on two pages, or the reconciliation below cash flows.
    """
    lines = [line for line in text.split("\n") if line.strip()]
    titles = [line for line in lines[:_TOP_LINES] if len(line) < _TITLE_LENGTH]
    titled = [line for line in titles if _TITLE[kind].search(line) and not _ASIDE.search(line)]
    rows = [line for line in lines if len(_CELLS.findall(line[:LONGEST_LINE])) >= _LEAST_CELLS]
    return bool(titled) and len(rows) >= _LEAST_LINES


def kinds(found: Iterable[str]) -> list[str]:
    """Returns kinds of statements in the order in which reports print them."""
    order = (INCOME, BALANCE, CASH)
    return sorted(found, key=order.index)
