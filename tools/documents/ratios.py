"""Ratios of textbooks of financial analysis, and how reports label the rows that they need."""

from __future__ import annotations

import re
from dataclasses import dataclass

# how a report may label a row, the best first
ITEMS: dict[str, tuple[str, ...]] = {
    "revenue": (
        r"total (?:net )?(?:revenues?|sales)",
        r"net (?:revenues?|sales)(?: to customers)?|sales to customers",
        r"revenues?|sales|营业总收入|营业收入",
    ),
    "cost of sales": (
        r"(?:total )?costs? of (?:goods|products?|revenues?|sales)(?: sold)?.{0,30}|营业成本",
    ),
    "gross profit": (r"gross (?:profit|margin)|毛利",),
    "operating income": (
        r"(?:total )?operating (?:income|profit|earnings)(?: \(loss\))?|"
        r"income \(?loss\)? from operations|income from operations|营业利润.{0,20}",
    ),
    "net income": (
        r"net (?:income|earnings)(?: \(loss\))? attributable to (?!non)(?!.*(?:\bshare\b|basic|"
        r"diluted)).{2,60}",
        r"(?:consolidated )?net (?:income|earnings)(?: \(loss\))?|净利润.{0,20}",
        r"net (?:income|earnings)(?: \(loss\))? including (?:non-?controlling|redeemable).{0,40}",
    ),
    "depreciation and amortization": (r"depreciation.{0,12}amorti[sz]ation.{0,140}|折旧.{0,20}",),
    "operating cash flow": (
        r"net cash (?:flows? )?(?:\(used in\)|provided|from|generated|\(?used).{0,40}"
        r"operati(?:ng activities|ons)|经营活动产生的现金流量净额",
    ),
    "capital expenditures": (
        r"(?:purchases? of|additions to|expenditures for|payments for) property.{0,60}|"
        r"capital (?:expenditures|spending)|购建固定资产.{0,40}",
    ),
    "current assets": (r"total current assets|流动资产合计",),
    "current liabilities": (r"total current liabilities|流动负债合计",),
    "inventories": (r"(?:total |merchandise )?inventor(?:y|ies)(?:,? net)?.{0,20}|存货",),
    "total assets": (r"total assets|资产总[计额]",),
    "total liabilities": (r"total liabilities|负债合计",),
    "equity": (
        r"total (?:\S+ )?(?:share|stock)holders['’]? (?:equity|investment)|"
        r"total (?!liabilities)(?:\S+ ){0,4}equity|(?:所有者权益|股东权益).{0,12}[合总]计",
    ),
    "fixed assets": (
        r"property.{0,40}net.{0,40}|固定资产(?:净额)?",
        r"property,? plant,? (?:and|&) equipment(?: \(.{0,30}\))?",
    ),
    "receivables": (r"(?:(?:net|trade|accounts|customer) ){0,2}receivables?.{0,110}|应收账款",),
    "payables": (r"(?:trade )?(?:accounts|trade) payables?.{0,30}|应付账款",),
    "income tax": (
        r"(?:provision for|benefit from|\(?benefit\)? from).{0,20}income tax.{0,20}|"
        r"income tax (?:expense|provision|\(benefit\)).{0,30}|所得税费用",
    ),
    "income before tax": (
        r"(?:income|earnings|profit)\b.{0,40}\bbefore\b.{0,30}\btax.{0,60}|"
        r"pre-?tax (?:income|earnings|profit)(?: \(loss\))?|利润总额.{0,20}",
    ),
    "dividends": (
        r"(?:cash |common (?:stock |share )?)?dividends? paid(?!.*\bper\b).{0,40}|"
        r"payments? (?:of|for) (?:cash |common )?dividends(?!.*\bper\b).{0,40}|"
        r"(?:cash )?dividends to (?:share|stock)holders",
    ),
    "selling, general and administrative": (
        r"selling,? (?:general,? and administrative|marketing and administrative|informational and "
        r"administrative).{0,40}|(?:sg&a|selling and administrative) expenses?",
    ),
    "research and development": (r"research(?:,)? (?:and )?development(?: and related)?.{0,30}",),
    "cash": (r"cash and (?:cash )?equivalents.{0,20}|货币资金",),
    "interest expense": (r"interest expense.{0,20}|利息费用",),
}
ROWS = {
    name: [
        re.compile(rf"(?:[一二三四五六七八九]、|减：|其中：)?(?:{w})[:：]?", re.I) for w in words
    ]
    for name, words in ITEMS.items()
}

# rows that make up an item, for reports that print them below a heading without a total
PARTS = {
    "inventories": re.compile(
        r"(?:raw|packaging) materials?.{0,40}|work[- ]in[- ](?:process|progress).{0,40}|"
        r"finished (?:goods|products?).{0,40}|(?:spare |other )?(?:parts|supplies).{0,30}|"
        r"goods in transit.{0,20}|(?:原材料|在产品|半成品|产成品|库存商品|周转材料).{0,10}",
        re.I,
    )
}


# what a question calls a row
NAMES = {
    name: re.compile(rf"(?<![A-Za-z0-9-])(?:{words})", re.I)
    for name, words in {
        "revenue": r"(?:total |net )?(?:revenues?|sales)\b(?! growth)|营业收入|营收",
        "cost of sales": r"cogs\b|costs? of (?:goods|products?|revenues?|sales)\b|营业成本",
        "gross profit": r"gross profit\b|毛利润|毛利(?!率)",
        "operating income": r"operating (?:income|profit)\b(?! margin)|营业利润(?!率)",
        "net income": r"net (?:income|earnings|profit)\b(?! margin)|净利润(?!率)",
        "depreciation and amortization": r"d&a\b|depreciation(?: (?:and|&|\+) amorti[sz]ation)?\b|"
        r"折旧(?:[和与及]摊销)?",
        "operating cash flow": r"operating cash ?flows?(?! ratio)|"
        r"(?:net )?cash (?:flows? )?(?:provided by|generated (?:by|from)|from) operat(?:ing "
        r"activities|ions)|cash ?flows? from operati\w+|经营\w*现金流(?:量净额)?",
        "capital expenditures": r"cap(?:ital )?ex(?:penditures?|penses?)?\b|capital spending|"
        r"资本(?:性)?支出",
        "current assets": r"total current assets|流动资产",
        "current liabilities": r"total current liabilities|流动负债",
        "inventories": r"inventor(?:y|ies)\b(?! turnover)|存货(?!周转)",
        "total assets": r"total assets|总资产(?!收益|周转)|资产总[计额]",
        "total liabilities": r"total liabilities|负债合计|总负债",
        "equity": r"(?:total )?(?:share|stock)holders['’]? equity|total (?:\S+ )?equity|"
        r"净资产(?!收益)",
        "fixed assets": r"(?:net )?pp&?n?e\b|property,? plant,?(?: (?:and|&) equipment)?|"
        r"(?:net )?fixed assets(?! turnover)|固定资产(?!周转)",
        "receivables": r"(?:accounts|trade) receivables?|应收账款(?!周转)",
        "payables": r"(?:accounts|trade) payables?|应付账款(?!周转)",
        "income before tax": r"(?:income|profit|earnings) before (?:income )?tax\w*|"
        r"pre-?tax income|利润总额",
        "dividends": r"(?:cash )?dividends paid|cash dividends|dividend payments",
        "income tax": r"(?:income )?tax (?:expense|provision)|provision for (?:income )?taxes|"
        r"income taxes|所得税(?!率)",
        "selling, general and administrative": r"sg&?a\b(?: (?:expenses?|costs?))?|"
        r"selling,? general,? and administrative(?: expenses?)?",
        "research and development": r"r&d\b(?: (?:expenses?|costs?|spend\w*))?|"
        r"research and development(?: (?:expenses?|costs?))?",
        "cash": r"(?:total )?cash (?:and|&) (?:cash )?equivalents|货币资金",
        "interest expense": r"interest expense|利息费用",
    }.items()
}
# the rows by their statement
INCOME = (
    *("revenue", "cost of sales", "gross profit", "operating income", "net income"),
    *("income tax", "income before tax", "interest expense"),
    *("selling, general and administrative", "research and development"),
)
CASH = ("depreciation and amortization", "operating cash flow", "capital expenditures", "dividends")
# what statements print as negative or not, as they like: only its size counts
COSTS = frozenset(
    (
        *("cost of sales", "capital expenditures", "dividends", "income tax", "interest expense"),
        *("selling, general and administrative", "research and development"),
    )
)
BALANCE = tuple(name for name in ITEMS if name not in (*INCOME, *CASH))


@dataclass(frozen=True, slots=True)
class Formula:
    """A ratio, or an amount: signed items over signed items.

    Attributes:
        asked: words of a question that ask for it.
        name: in the line.
        over: items with their signs; of those in `COSTS` the size counts.
        under: the same, or none for an amount.
        mean: the item of a balance sheet that counts as the mean of two years, or "".
        percent: whether it is told in per cent.
    """

    asked: re.Pattern[str]
    name: str
    over: tuple[tuple[int, str], ...]
    under: tuple[tuple[int, str], ...]
    mean: str = ""
    percent: bool = False

    @property
    def is_of_a_difference(self) -> bool:
        """Whether it is a ratio of a difference, so that two figures do not make it."""
        return bool(self.under) and any(sign < 0 for sign, _ in self.over)

    @classmethod
    def of(
        cls,
        asked: str,
        name: str,
        over: str,
        under: str = "",
        *,
        mean: str = "",
        percent: bool = False,
    ) -> Formula:
        """Returns a formula from its items as text, as in "revenue - cost of sales"."""
        words = re.compile(rf"(?<![A-Za-z0-9-])(?:{asked})", re.I)
        return cls(words, name, _signed(over), _signed(under), mean, percent)


def _signed(text: str) -> tuple[tuple[int, str], ...]:
    parts = re.findall(r"([+-]?) ?([a-z][a-z ]+)", text)
    return tuple((-1 if sign == "-" else 1, name.strip()) for sign, name in parts)


FORMULAS: tuple[Formula, ...] = (
    Formula.of(
        r"gross (?:profit )?margins?|毛利率",
        "gross margin",
        "gross profit",
        "revenue",
        percent=True,
    ),
    Formula.of(
        r"gross (?:profit )?margins?|毛利率",
        "gross margin",
        "revenue - cost of sales",
        "revenue",
        percent=True,
    ),
    Formula.of(
        r"operating (?:profit |income )?margins?|营业利润率",
        "operating margin",
        "operating income",
        "revenue",
        percent=True,
    ),
    Formula.of(
        r"net (?:profit |income )?margins?|净利率|净利润率",
        "net margin",
        "net income",
        "revenue",
        percent=True,
    ),
    Formula.of(
        r"ebitda\b.{0,20}margins?",
        "EBITDA margin",
        "operating income + depreciation and amortization",
        "revenue",
        percent=True,
    ),
    Formula.of(
        r"ebitda\b(?!.{0,20}margin)", "EBITDA", "operating income + depreciation and amortization"
    ),
    Formula.of(
        r"free cash ?flow conversion|fcf conversion|cash conversion(?! cycle)",
        "free cash flow / net income",
        "operating cash flow - capital expenditures",
        "net income",
        percent=True,
    ),
    Formula.of(
        r"free cash ?flows?\b|\bfcf\b|自由现金流",
        "free cash flow",
        "operating cash flow - capital expenditures",
    ),
    Formula.of(
        r"current ratios?|流动比率", "current ratio", "current assets", "current liabilities"
    ),
    Formula.of(
        r"quick ratios?|acid[- ]test|速动比率",
        "quick ratio",
        "current assets - inventories",
        "current liabilities",
    ),
    Formula.of(
        r"working capital(?! ratio)|营运资金|营运资本",
        "working capital",
        "current assets - current liabilities",
    ),
    Formula.of(
        r"inventory turnover|sold its inventory|存货周转率",
        "inventory turnover (cost of sales / mean inventories)",
        "cost of sales",
        "inventories",
        mean="inventories",
    ),
    Formula.of(
        r"fixed asset turnover|固定资产周转率",
        "fixed asset turnover (revenue / mean fixed assets)",
        "revenue",
        "fixed assets",
        mean="fixed assets",
    ),
    Formula.of(
        r"(?<!fixed )asset turnover|(?<!固定)资产周转率",
        "asset turnover (revenue / mean total assets)",
        "revenue",
        "total assets",
        mean="total assets",
    ),
    Formula.of(
        r"\broa\b|return on (?:average |total )?assets|总资产收益率",
        "return on mean assets",
        "net income",
        "total assets",
        mean="total assets",
        percent=True,
    ),
    Formula.of(
        r"\broe\b|return on (?:average )?equity|净资产收益率",
        "return on mean equity",
        "net income",
        "equity",
        mean="equity",
        percent=True,
    ),
    Formula.of(
        r"(?:effective )?tax rates?|实际税率|所得税率",
        "effective tax rate",
        "income tax",
        "income before tax",
        percent=True,
    ),
    Formula.of(
        r"capital[- ]intensi\w+|"
        r"cap(?:ital )?ex\w*.{0,30}(?:percent|%|share) .{0,20}(?:revenue|sales)",
        "capital expenditures / revenue",
        "capital expenditures",
        "revenue",
        percent=True,
    ),
    Formula.of(
        r"debt[- ]to[- ]assets?|资产负债率",
        "total liabilities / total assets",
        "total liabilities",
        "total assets",
        percent=True,
    ),
    Formula.of(
        r"payout ratios?|股利支付率",
        "dividends / net income",
        "dividends",
        "net income",
        percent=True,
    ),
    Formula.of(
        r"interest coverage|times interest earned|利息保障倍数",
        "interest coverage",
        "operating income",
        "interest expense",
    ),
)
