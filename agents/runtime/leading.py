"""What small models are told in the middle of a run, because they lose sight of what was asked.

Seen with Qwen2.5-Coder 1.5B on llama.cpp: it makes the same call again until it is stopped, and
gives a figure for a table of which it saw the first row.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.models.encoding import text_of
from qwenbelt.agents.models.endpoint_model import Model
from qwenbelt.agents.prompts import (
    AFTER_FAILURE,
    AFTER_RESULTS,
    AFTER_RESULTS_IN_FORM,
    DATA_UNREAD,
    UNVERIFIED,
    UNVERIFIED_FIGURES,
    UNVERIFIED_WORDS,
)
from qwenbelt.agents.runtime.history import History
from qwenbelt.agents.runtime.kept_views import ASKED, LINES, SHOWN, UNKNOWN
from qwenbelt.core.language import Language

if TYPE_CHECKING:
    from qwenbelt.tools.documents.grounding import CitedText

_LONGEST_QUESTION = 2000  # characters, of its end
_FORM_ASKED = re.compile(
    r"\b(?:exactly|strictly) (?:in|with|as)\b|\bonly (?:with|as)\b|"
    r"\b(?:this|that|following|exact|same|given) (?:form|shape|template|pattern|schema)\b|"
    r"\b(?:output |answer |response |reply )format\b|\bformat(?:ted)?(?: (?:as|of|like)\b|:)|"
    r"\b(?:as|in) (?:an? |valid )?(?:json|csv|yaml|xml|markdown|bullet\w*|table)\b(?!\.\w)|"
    r"@\w+\[|(?:格式|形式|模板|样式)(?:如下|回答|输出|给出|返回|为|是|[:：])|"
    r"(?:按|以|用)[^，。\n]{0,12}(?:格式|形式|表格|列表)|只(?:输出|回答|返回|给出|写)",
    re.I,
)


class Lead:
    """Leads a model through a run, where it is one that needs it.

    Args:
        model: that answers; another one of a chain may follow it.
        tools: the names of those that it has, now and later.
        language: of the words.
    """

    def __init__(self, model: Model, tools: Container[str], language: Language) -> None:
        self._model = model
        self._tools = tools
        self._language = language

    def after_results(self, history: History) -> str:
        """Returns what is said once results are in, or ""."""
        asked = self._asked(history)
        if not asked:
            return ""
        question = _question(asked)
        if _all_failed(history):
            said = AFTER_FAILURE
        else:
            said = AFTER_RESULTS_IN_FORM if _FORM_ASKED.search(question) else AFTER_RESULTS
        return said[self._language].format(question=question)

    def unread(self, history: History) -> str:
        """Returns what is said to an answer about a table that no call has read, or ""."""
        asked = self._asked(history)
        if not asked or not (asked.get("extra") or {}).get(LINES):
            return ""
        called = any(message["role"] == "function" for message in history.added())
        if called or "code_interpreter" not in self._tools:
            return ""
        return DATA_UNREAD[self._language].format(question=_question(asked))

    def after_answer(self, history: History) -> str:
        """Returns what an answer from passages lacks, or "".

        Those are the marks of the passages that it rests on, or a line that it is not verified.
        """
        asked = self._asked(history)
        if not asked or any(message["role"] == "function" for message in history.added()):
            return ""
        passages = [
            passage
            for message in history.messages
            for passage in (message.get("extra") or {}).get(SHOWN) or ()
        ]
        answer = history.messages[-1]
        if not passages or answer["role"] != "assistant":
            return ""
        from qwenbelt.tools.documents.grounding import CitedText

        shown = {number: CitedText(page, text) for number, _, page, text in passages}
        return _checked(
            text_of(answer["content"]),
            _question(asked),
            shown,
            (asked.get("extra") or {}).get(UNKNOWN) or (),
            self._language,
        )

    def _asked(self, history: History) -> Mapping[str, Any] | None:
        if not self._model.is_led or self._model.codec.form not in ("native", "nous"):
            return None
        given = history.messages[: history.given]
        return next((message for message in reversed(given) if message["role"] == "user"), None)


def _all_failed(history: History) -> bool:
    """Returns whether none of the last calls had a result, and all may be tried again."""
    last = takewhile(lambda m: m["role"] == "function", reversed(history.messages))
    statuses = {(message.get("extra") or {}).get("status") for message in last}
    return bool(statuses) and statuses <= {"raised", "failed", "timeout"}


def _question(message: Mapping[str, Any]) -> str:
    asked = (message.get("extra") or {}).get(ASKED) or text_of(message["content"])
    return str(asked)[-_LONGEST_QUESTION:]


def _checked(
    answer: str,
    question: str,
    shown: Mapping[int, CitedText],
    unknown: Sequence[str],
    language: Language,
) -> str:
    # these read tables and stem words, which most runs never do
    from qwenbelt.tools.documents.answer_checks import check_answer
    from qwenbelt.tools.documents.attribution import supporting_passages, wrong_as_a_whole
    from qwenbelt.tools.documents.computed import computed_lines, results_of
    from qwenbelt.tools.documents.directions import contradictions_in

    computed = computed_lines(question, {number: page.text for number, page in shown.items()})
    if not unknown and wrong_as_a_whole(answer, computed):
        return UNVERIFIED[language]
    doubtful = unknown or any(contradictions_in(answer))
    found = () if doubtful else supporting_passages(answer, question, shown)
    if found:
        return "".join(f" [{number}]" for number in found)
    made = results_of(computed)
    checks = check_answer(answer, question, numbered=shown, unknown=unknown, computed=made)
    failed = [check for check in checks if not check.ok]
    if not failed:
        return ""
    joint = "、" if language == "zh" else ", "
    if unknown:
        return UNVERIFIED_WORDS[language].format(words=joint.join(unknown))
    figures = list(dict.fromkeys(check.figure for check in failed if check.figure))
    if figures:
        return UNVERIFIED_FIGURES[language].format(figures=joint.join(figures))
    return UNVERIFIED[language]
