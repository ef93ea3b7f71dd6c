"""Finds text of a model that looks like a question or a line of the program itself.

A person who is deceived answers y, or types a password, to a faked question.
"""

from __future__ import annotations

import re
import unicodedata

_ASKING = re.compile(
    r"\[\s*y(?:es)?\s*/\s*n|\(\s*y(?:es)?\s*/\s*n|\[y\]\s*(?:es|是)|\[n\]\s*(?:o\b|否)|"
    r"^\W*may \S+ run\?|\bwants to run with\b|^\W*allow (?:it|this)\b.*\?|"
    r"允许.{0,80}(?:运行)?吗|请求以.{0,200}运行|批准.{0,40}吗|"
    r"^\W*(?:(?:enter|type|请输入).{0,20})?(?:password|passphrase|密码|口令)[^.\n]{0,40}[:：]\s*$",
    re.IGNORECASE | re.MULTILINE,
)
# a call's line of the terminal (a sign, a name, arguments, seconds), and the marks in which results
# are given to models
_RESULT = re.compile(
    r"^\s*[✓✗⊘!]\s+\w\S*\s(?:.*\s)?\d+(?:\.\d+)?\s?(?:m?s|min)\s*$|^\s*[✓✗⊘!]\s+\w\S*\s+\{|"
    r"</?tool_(?:call|response)\b|^\s*(?:observation|tool result|function result)\s*:|"
    r"✿(?:function|args|result|return)✿",
    re.IGNORECASE | re.MULTILINE,
)


def imitates_program(block: str) -> bool:
    """Returns whether a block of a model's text could be taken for the program's own."""
    flat = unicodedata.normalize("NFKC", block)  # [ｙ/Ｎ]
    return _ASKING.search(flat) is not None or _RESULT.search(flat) is not None
