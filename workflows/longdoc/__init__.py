"""Answers to questions for which all of a long document matters, not only its best passages.

from qwenbelt.workflows.longdoc import ask_everything

answer = ask_everything("Which risks are named?", ["report.pdf"], llm="dashscope:qwen-plus")
answer.text; answer.findings; answer.left_out
"""

from qwenbelt.workflows.longdoc.job import (
    Answer,
    Finding,
    FoundQuote,
    LongDocumentAnswer,
    ask_everything,
)

__all__ = ["Answer", "Finding", "FoundQuote", "LongDocumentAnswer", "ask_everything"]
