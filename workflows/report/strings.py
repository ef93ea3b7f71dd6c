"""The words of reports, in English and Chinese."""

from __future__ import annotations

from qwenbelt.core.texts import Texts

_TEXTS = {
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
    "summary": ("In short", "要点"),
    "disagree": ("What does not agree", "不一致之处"),
    "is_said": ("{label}: ", "{label}："),
    "and": (" and ", "与 "),
    "differs": (".", "。"),
    "restated": (
        ": one of the pages says that figures were restated.",
        "：其中一页说明数据经过重述。",
    ),
    "missing": ("Not found in the documents", "文档中未找到"),
    "crop_alt": (
        "Page {page} of {file}: the quoted words, marked",
        "{file} 第 {page} 页：引文已标出",
    ),
    "call": ("Call", "调用"),
    "with": ("With", "参数"),
    "time": ("Time", "用时"),
    "failed": ("failed", "失败"),
    "timeline": ("Timeline", "时间线"),
    "method_model": (
        "The answer was written by {model}, {agent}, in {models} model calls and {calls} tool "
        "calls, up to {parallel} of them side by side, within {seconds} s.",
        "撰写回答的模型：{model}，方式：{agent}；共 {models} 次模型调用、{calls} 次工具调用，"
        "最多 {parallel} 个并行，用时 {seconds} 秒。",
    ),
    "method_cited": (
        "Every citation was looked up again on its page, and every figure on the pages that are "
        "cited for it.",
        "每条引文均已在原页重新核对，每个数字均已在所引页面上核对。",
    ),
    "method_tools": (
        "Figures were drawn and numbers computed by the tools below.",
        "图表与计算由下列工具完成。",
    ),
    "method_not_grounded": (
        "What it wrote did not stand on the pages and is not shown; the passages above were found "
        "by a search for the question and are quoted as they stand.",
        "模型所写内容未能在原页得到证实，故未显示；以上段落由检索得到，均照原文引用。",
    ),
    "not_grounded_banner": (
        "Not verified: {model} gave no answer that stands on the pages. {problem} These are the "
        "passages that fit the question best; they are not an answer.",
        "未核实：{model} 没有给出能在原页证实的回答。{problem}"
        "以下为与问题最相关的原文段落，并非回答。",
    ),
    "check_no_citations": (
        "The answer cites no passage.",
        "回答没有引用任何段落。",
    ),
    "check_not_on_page": (
        "The figure {figure} stands nowhere on the cited pages (“{claim}”).",
        "数字 {figure} 不在所引页面上（“{claim}”）。",
    ),
    "check_wrong_row": (
        "The figure {figure} stands on page {page} in a row about something else (“{claim}”).",
        "数字 {figure} 在第 {page} 页上属于另一行（“{claim}”）。",
    ),
    "check_wrong_unit": (
        "The figure {figure} stands on page {page} in another unit (“{claim}”).",
        "数字 {figure} 在第 {page} 页上的单位不同（“{claim}”）。",
    ),
    "check_wrong_year": (
        "The figure {figure} stands on page {page} under another year (“{claim}”).",
        "数字 {figure} 在第 {page} 页上属于另一年份（“{claim}”）。",
    ),
    "check_other_way": (
        "A change of {figure} is the other way than the answer says (“{claim}”).",
        "{figure} 的变化方向与回答所说相反（“{claim}”）。",
    ),
    "check_bare": (
        "The answer says “{claim}” alone; nothing in it can be looked up on a page.",
        "回答只说“{claim}”，没有可以在页面上核对的内容。",
    ),
    "check_against_computed": (
        "The answer (“{claim}”) says otherwise than what was computed from rows of the pages: "
        "{computed}.",
        "回答（“{claim}”）与根据页面数据行算出的结果不符：{computed}。",
    ),
    "check_no_year": (
        "The cited pages do not mention {claim}.",
        "所引页面没有提到 {claim}。",
    ),
    "check_unknown_word": (
        "“{claim}” does not appear anywhere: it is not found in the documents.",
        "文档中没有出现“{claim}”。",
    ),
    "check_no_page": (
        "{claim} is cited, and there is no such passage or page.",
        "引用了 {claim}，但没有这样的段落或页面。",
    ),
    "check_quote_not_found": (
        "Words that are quoted from page {page} do not stand there.",
        "引自第 {page} 页的文字不在该页。",
    ),
    "repair": (
        "Your answer was checked against the pages:\n{problems}\nWrite the answer again. Copy each "
        "figure from the row and the year that the question asks for, and put the number of its "
        "passage in brackets behind it. If the passages do not tell, say that they do not tell.",
        "你的回答已与原文核对：\n{problems}\n请重写回答：数字取自所问的行和年份，"
        "其后用方括号标注段落编号。如果段落没有说明，就说明没有提及。",
    ),
    "answer_not_verified": (
        "The model's answer did not stand on the pages; the report quotes passages instead.",
        "模型的回答未能在原页证实；报告改为引用原文段落。",
    ),
    "nothing_verified": (
        "The report cites nothing, so nothing was verified.",
        "报告没有引用任何内容，因此没有可核实的内容。",
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
say = Texts(_TEXTS)
