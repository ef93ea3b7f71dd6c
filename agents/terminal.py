"""Asks the person at the terminal whether a call may run."""

from __future__ import annotations

import sys
import threading

from qwenbelt.agents.notices import NOBODY_TO_ASK
from qwenbelt.agents.prompts import REFUSED
from qwenbelt.agents.runtime.approval import ApprovalRequest
from qwenbelt.core.errors import ToolRefused, one_line
from qwenbelt.core.language import user_language

_QUESTION = {
    "en": "{name} ({what}) wants to run with {arguments}\nAllow it? [y/N] ",
    "zh": "{name}（{what}）请求以 {arguments} 运行\n允许吗？[y/N] ",
}
_WHAT = {
    "en": {"destructive": "may delete or overwrite", "effect": "has effects"},
    "zh": {"destructive": "可能删除或覆盖", "effect": "有副作用"},
}
_lock = threading.Lock()  # one question at a time


def ask_in_terminal(request: ApprovalRequest) -> bool:
    """Allows read-only calls; asks about the others.

    Raises:
        ToolRefused: there is nobody at the terminal.
    """
    if request.read_only:
        return True
    language = user_language()
    if sys.stdin is None or not sys.stdin.isatty():
        text = REFUSED[language]
        raise ToolRefused(text.format(name=request.name, reason=NOBODY_TO_ASK[language]))
    what = _WHAT[language]["destructive" if request.destructive else "effect"]
    shown = one_line(request.arguments, 2000)
    arguments = "".join(c if c.isprintable() else "?" for c in shown)  # no escape sequences
    with _lock:
        question = _QUESTION[language]
        sys.stderr.write(question.format(name=request.name, what=what, arguments=arguments))
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes", "是", "好")
