"""The words of reports, in English and Chinese."""

from __future__ import annotations

from qwenbelt.core.language import Language

TEXTS: dict[str, tuple[str, str]] = {
    "report": ("Report", "报告"),
    "question": ("Question", "问题"),
    "documents": ("Documents", "文档"),
    "date": ("Date", "日期"),
    "model": ("Model", "模型"),
    "no_model": ("none", "无"),
    "references": ("References", "参考文献"),
    "method": ("Method", "方法"),
    "figures": ("Figures", "图"),
    "figure": ("Figure {n}.", "图 {n}："),
    "figure_ref": ("Figure {n}", "图 {n}"),
    "page": ("p. {page}", "第 {page} 页"),
    "labelled_page": ("p. {label} (sheet {page})", "第 {label} 页（文件第 {page} 页）"),
    "left_out": ("{file}: {note}", "{file}：{note}"),
    "pages": ("{count} pages", "共 {count} 页"),
    "page_of": ("Page {page} of {pages}", "第 {page} 页，共 {pages} 页"),
    "quoted": ("“{quote}”", "“{quote}”"),
    "unverified": (
        "Not verified: these words were not found on the cited page.",
        "未核实：所引文字未在该页找到。",
    ),
    "notes": ("Notes", "说明"),
    "call": ("Call", "调用"),
    "with": ("With", "参数"),
    "time": ("Time", "用时"),
    "failed": ("failed", "失败"),
    "timeline": ("Timeline", "时间线"),
    "method_model": (
        "The answer was written by {model} ({agent}) in {models} model calls and {calls} tool "
        "calls, up to {parallel} of them side by side, within {seconds} s. Figures were drawn and "
        "numbers computed by the tools below; every citation was looked up again on its page.",
        "回答由 {model}（{agent}）撰写，共 {models} 次模型调用、{calls} 次工具调用，"
        "最多 {parallel} 个并行，用时 {seconds} 秒。"
        "图表与数值由下列工具得出；每条引文均已在原页重新核对。",
    ),
    "method_scripted": (
        "The model's replies were written in advance; every tool ran for real.",
        "模型的回复是预先写好的；所有工具均真实运行。",
    ),
    "method_extractive": (
        "This report was made without a language model: the documents were searched for the "
        "question, and the best passages are quoted as they stand. Nothing was rephrased, "
        "summarised or concluded. It took {seconds} s.",
        "本报告未使用语言模型：仅按问题检索文档，并原样引用最相关的段落，未作改写、概括或推断。"
        "用时 {seconds} 秒。",
    ),
    "extractive_banner": (
        "Made without a language model. These are the passages that fit the question best, quoted "
        "as they stand; they are not an answer.",
        "本报告未使用语言模型。以下为与问题最相关的原文段落，并非对问题的回答。",
    ),
    "scripted_banner": (
        "The model's replies were written in advance; every tool ran for real.",
        "模型的回复是预先写好的；所有工具均真实运行。",
    ),
    "verified_count": (
        "{verified} of {count} citations were found on their pages.",
        "{count} 条引文中有 {verified} 条已在原页核实。",
    ),
    "no_citations": ("The answer cites nothing.", "回答没有引用任何内容。"),
    "unknown_source": (
        "The answer cites [{numbers}], which no tool result carries; these marks were removed.",
        "回答引用了 [{numbers}]，但没有任何工具结果带有该编号；这些标记已移除。",
    ),
    "missing_figure": (
        "The answer shows {name}, which no tool has made; it was left out.",
        "回答展示了 {name}，但没有任何工具生成它；已略去。",
    ),
    "numbers": (
        "Numbers in the answer that stand in no tool result, not even rounded: {numbers}.",
        "回答中有数字在任何工具结果里都找不到（四舍五入后亦然）：{numbers}。",
    ),
    "no_answer": (
        "The run ended without an answer: {reason}.",
        "运行结束但没有得到回答：{reason}。",
    ),
    "cut_short": ("The run was cut short: {reason}.", "运行提前结束：{reason}。"),
    # extractive reports
    "passages": ("Passages", "相关段落"),
    "passage": ("{file}, page {page}", "{file}，第 {page} 页"),
    "page_picture": (
        "Page {page} of {file}, the quoted words highlighted",
        "{file} 第 {page} 页，引文已高亮",
    ),
    "tables": ("Tables", "表格"),
    "table": ("Table on page {page} of {file}", "{file} 第 {page} 页的表格"),
    "table_file": ("The whole table ({rows} rows): {path}", "完整表格（{rows} 行）：{path}"),
    "nothing_found": (
        "Nothing in the documents fits the question.",
        "文档中没有与问题相关的内容。",
    ),
    "unreadable": ("Left out: {reason}", "已略去：{reason}"),
}


def say(key: str, language: Language, **values: object) -> str:
    """Returns the text `key` in a language, with `values` filled in."""
    return TEXTS[key][language == "zh"].format(**values)
