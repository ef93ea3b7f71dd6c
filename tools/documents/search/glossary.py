"""Synonyms between questions and documents: terms of business and accounting.

Each entry names the words of a question, and the words that a report would use for it: the lines
that a ratio is computed from, the statement that holds them, the long form of an abbreviation.
The definitions are those of common textbooks of financial analysis. Matching is on whole words.
"""

from __future__ import annotations

import re

_EN: dict[str, str] = {
    # statements
    r"income statements?|statements? of (?:income|operations|earnings)|profit and loss|p&l": (
        "statement income operations earnings"
    ),
    r"balance sheets?|statements? of financial position|financial position": (
        "balance sheet statement financial position"
    ),
    r"cash ?flow statements?|statements? of cash ?flows?": (
        "statement cash flows operating investing financing activities"
    ),
    # lines of statements
    r"pp&?n?e|p\.p\.e|fixed assets?|tangible assets?": "property plant equipment net balance sheet",
    r"cap(?:ital )?ex(?:penditures?|penses?)?|capital spending|capital[- ]intensi\w+": (
        "capital expenditures purchases property plant equipment additions"
    ),
    r"cogs|costs? of (?:goods|products) sold|cost of sales|cost of revenues?": (
        "cost of sales cost of revenue cost of goods sold products"
    ),
    r"sg&?a": "selling general administrative expenses",
    r"r&d": "research development",
    r"d&a": "depreciation amortization",
    r"revenues?|top[- ]line|turnover|sales": "net sales revenue",
    r"bottom[- ]line|profits?|net income|earnings": "net income earnings profit",
    r"eps|earnings per share": "earnings per share diluted basic",
    r"accounts payable|payables?|dpo|days payable\w*": "accounts payable cost of sales inventories",
    r"accounts receivable|receivables?|dso|days sales outstanding": (
        "accounts receivable net sales revenue"
    ),
    r"working capital|net working capital": (
        "total current assets total current liabilities balance sheet"
    ),
    r"liabilit(?:y|ies)": "total liabilities",
    r"stock ?holders?|share ?holders?": "shareholders stockholders equity",
    r"dividends?|payout": "dividends declared paid per share",
    r"buy[- ]?backs?|repurchas\w+": "share repurchase repurchased treasury stock",
    # ratios
    r"gross (?:profit )?margins?|gross profit": (
        "gross profit cost of sales net sales statement income"
    ),
    r"operating (?:profit )?margins?|operating (?:income|profit)": (
        "operating income net sales revenue operating expenses statement income"
    ),
    r"(?:net|profit|net profit|net income) margins?": (
        "net income net sales revenue statement income"
    ),
    r"ebitda?r?(?:\b.*margins?)?": (
        "operating income depreciation amortization interest taxes net income"
    ),
    r"free cash ?flows?|fcf|cash ?flow conversion|cash conversion": (
        "net cash provided operating activities purchases property equipment statement cash flows"
    ),
    r"operating cash ?flows?|cash ?flows? from operati\w+|ocf|cfo ratio": (
        "net cash provided operating activities statement cash flows current liabilities"
    ),
    r"(?:quick|current|acid[- ]test|liquidity|cash) ratios?": (
        "total current assets total current liabilities inventories receivables cash balance sheet"
    ),
    r"inventory turnover|days (?:of )?inventory\w*|dio|inventor(?:y|ies)": (
        "inventories cost of sales cost of products sold balance sheet"
    ),
    r"cash conversion cycle": "inventories accounts receivable accounts payable cost of sales",
    r"fixed asset turnover|asset turnover": (
        "net sales revenue total assets property plant equipment"
    ),
    r"debt|leverage|gearing|borrowings?": "long-term debt short-term borrowings notes payable",
    r"debt[- ]to[- ]\w+|leverage ratios?": "total debt total equity total assets balance sheet",
    r"interest coverage|times interest earned": "interest expense operating income before taxes",
    r"roa|return on (?:total )?assets": "net income total assets balance sheet statement income",
    r"roe|return on equity": "net income total equity shareholders",
    r"roic|return on invested capital": "operating income total debt total equity taxes",
    r"effective (?:income )?tax(?: rate)?|tax rates?": "provision income taxes effective tax rate",
    r"retention ratios?|dividend payout ratios?": "dividends paid net income",
    r"cagr|growth rates?": "change growth compared year",
    r"organic(?:ally)?": "organic sales growth acquisitions divestitures translation",
    r"(?:exclud\w+|without|leaving out)\b.{0,30}\b(?:m&a|mergers?|acquisitions?|divestitures?)|"
    r"like[- ]for[- ]like|constant[- ]currency": "organic sales growth divestitures translation",
    # events and people
    r"m&a|mergers?|acqui\w+|takeovers?": "acquisition acquired merger purchase price",
    r"divest\w+|spin[- ]?offs?|spinning off": (
        "divestiture separation spin-off discontinued operations"
    ),
    r"restructur\w+|layoffs?": "restructuring charges severance",
    r"lawsuits?|litigation|legal (?:battles?|cases?|disputes?|matters?)|sued": (
        "legal proceedings litigation lawsuits claims"
    ),
    r"agm|annual (?:general )?meeting": "annual meeting shareholders votes proposal",
    r"ceo|boss|(?:who|the person) (?:runs|leads|heads)": "chief executive officer president",
    r"cfo": "chief financial officer",
    r"coo": "chief operating officer",
    r"auditors?": "independent registered public accounting firm auditor",
    r"headcount|workforce|staff|employees": "employees full-time",
    r"guidance|outlook|forecasts?": "guidance outlook expects full year",
    r"fx|exchange rates?|currenc(?:y|ies)": "foreign currency exchange translation",
    r"abroad|overseas": "international foreign outside united states",
    r"geograph\w+|regions?|countries": "geographic region segment area",
    r"segments?|divisions?|business units?": "segment business operating segments",
    r"yoy|year[- ]over[- ]year|year[- ]on[- ]year": "change compared prior year increase decrease",
    r"industr(?:y|ies)|what .* do(?:es)? for business": "industry business overview products",
    r"risks?": "risk factors",
    r"retain\w*|attrition|churn": "retention retained",
    r"(?<!explain )why|drove|driven|drivers?|reasons?|caused?": (
        "primarily due driven attributable resulted"
    ),
}

_ZH: dict[str, str] = {
    r"利润表|损益表": "利润表 营业收入 营业成本 净利润",
    r"资产负债表|财务状况": "资产负债表 资产总计 负债合计",
    r"现金流量表|现金流": "现金流量 经营活动 投资活动 筹资活动",
    r"固定资产": "固定资产 在建工程",
    r"资本(?:性)?(?:支出|开支)": "购建固定资产 无形资产 支付的现金",
    r"毛利率|毛利": "营业收入 营业成本 毛利",
    r"净利率|利润率": "净利润 营业收入",
    r"营收|收入|销售额": "营业收入",
    r"净利|盈利": "净利润 归属于股东",
    r"自由现金流": "经营活动产生的现金流量净额 购建固定资产",
    r"流动比率|速动比率|营运资金|流动性": "流动资产合计 流动负债合计 存货",
    r"存货周转|库存": "存货 营业成本",
    r"资产负债率|杠杆": "负债合计 资产总计",
    r"应收账款周转|回款": "应收账款 营业收入",
    r"净资产收益率|股东回报": "净利润 所有者权益",
    r"每股收益": "基本每股收益 稀释每股收益",
    r"分红|股息|派息": "利润分配 现金股利 股息",
    r"回购": "股份回购 库存股",
    r"研发(?:投入|费用)?": "研发费用 研究开发",
    r"并购|收购": "企业合并 收购 股权",
    r"诉讼|官司": "诉讼 仲裁 未决",
    r"员工|人数": "员工 职工 在职",
    r"为什么|为何|原因": "主要由于 主要系",
    r"有效税率|所得税率|税率": "所得税费用 适用税率",
    r"海外|境外|国外": "境外 国外 国际",
    r"董事长|总经理|高管|掌门人|老板": "董事 高级管理人员 总裁",
}

_ENTRIES = [
    *((re.compile(rf"(?<![\w&])(?:{words})(?![\w&])"), said) for words, said in _EN.items()),
    *((re.compile(words), said) for words, said in _ZH.items()),
]


def other_words(question: str) -> str:
    """Returns what documents may say for the terms of a question, or ""."""
    lowered = question.lower()
    return " ".join(said for asked, said in _ENTRIES if asked.search(lowered))


def without_terms(question: str) -> str:
    """Returns a question without the terms that documents may say otherwise."""
    for asked, _ in _ENTRIES:
        question = re.sub(asked.pattern, " ", question, flags=re.I)
    return question
