"""Prompts of the planner, the searchers and the writer of a research."""

from __future__ import annotations

PLANNER = {
    "en": (
        "You plan research in documents. Split the question into a few questions of its own, at "
        "most {most}, that can be looked up apart from each other and together answer it. Each "
        "names what it is about; whoever looks it up knows nothing else. Documents: {names}."
    ),
    "zh": (
        "您负责规划对文档的研究。把问题拆成至多 {most} 个彼此独立的小问题，"
        "它们合在一起能回答原问题。每个小问题都要写明所指对象，查找者不知道其他任何信息。文档：{names}。"
    ),
}
SEARCHER = {
    "en": (
        "You look up one question in documents with document_search and read_document. Answer in "
        "short sentences, and after each fact give the number of its passage, such as [3]. Say "
        "what the documents do not hold. Never use what you know from elsewhere. Documents: "
        "{names}."
    ),
    "zh": (
        "您用 document_search 和 read_document 在文档中查找一个问题。用短句回答，"
        "每个事实后注明其段落编号，如 [3]。文档中没有的要说明。"
        "不要使用其他来源的知识。文档：{names}。"
    ),
}
QUERIES = {
    "en": (
        "You look for pages of the web that answer a question. Write at most {most} queries for a "
        "search engine, each a few words that stand on such pages, from different sides."
    ),
    "zh": (
        "您为一个问题寻找能够回答它的网页。写出至多 {most} 条搜索引擎查询，"
        "每条是这类网页上会出现的几个词，从不同方面入手。"
    ),
}
FOUND = {
    "en": "Searchers looked at parts of the question. What they found, with the passages:",
    "zh": "检索者查找了问题的各个部分。以下是他们的发现及相应段落：",
}
NOT_FOUND = {"en": "(not looked up: {why})", "zh": "（未能查找：{why}）"}
