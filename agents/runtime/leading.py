"""What small models are told in the middle of a run, because they lose sight of what was asked.

Seen with Qwen2.5-Coder 1.5B on llama.cpp: it makes the same call again until it is stopped, and
gives a figure for a table of which it saw the first row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping, Sequence
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.models.codecs.base import new_call_id
from qwenbelt.agents.models.codecs.constrained import cell_in, fault_of
from qwenbelt.agents.models.deltas import ModelReply, ToolCall
from qwenbelt.agents.models.encoding import text_of
from qwenbelt.agents.models.endpoint_model import Model
from qwenbelt.agents.prompts import (
    AFTER_FAILURE,
    AFTER_RESULTS,
    AFTER_RESULTS_IN_FORM,
    AFTER_SAME_FAILURE,
    DATA_UNREAD,
    NO_SUCH_CALL,
    UNVERIFIED,
    UNVERIFIED_FIGURES,
    UNVERIFIED_WORDS,
)
from qwenbelt.agents.runtime.history import History
from qwenbelt.agents.runtime.kept_views import ASKED, LINES, SHOWN, UNKNOWN
from qwenbelt.agents.runtime.outcome import FAILED
from qwenbelt.core.errors import one_line
from qwenbelt.core.jsons import loads_lenient
from qwenbelt.core.language import Language

if TYPE_CHECKING:
    from qwenbelt.tools.documents.grounding import CitedText

_RUNS_CODE = "code_interpreter"
_LONGEST_QUESTION = 2000  # characters, of its end
_LONGEST_ERROR = 200  # characters
_MOST_FAILURES = 3
_SHORT = 300  # characters
_SHORTEST_ECHO = 12  # characters
# the line of a traceback that says what it was
_ERROR_LINE = re.compile(
    r"^(?:Error: |出错：)?(\w[\w.]*(?:Error|Exception|Interrupt|Exit)\b.*)", re.MULTILINE
)
_ALL_JSON = re.compile(r"\s*(?:```\w*\s*)?(\{.*\})\s*(?:```)?\s*", re.DOTALL)
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
        tools: those that it has by name, now and later.
        language: of the words.
    """

    def __init__(self, model: Model, tools: Mapping[str, Any], language: Language) -> None:
        self._model = model
        self._tools = tools
        self._language = language

    def after_results(self, history: History) -> str:
        """Returns what is said once results are in, or ""."""
        asked = self._asked(history)
        if not asked:
            return ""
        question = _question(asked)
        error = _failure(history)
        if not error:
            said = AFTER_RESULTS_IN_FORM if _FORM_ASKED.search(question) else AFTER_RESULTS
        else:
            said = AFTER_SAME_FAILURE if _was_made_before(history) else AFTER_FAILURE
        return said[self._language].format(question=question, error=error)

    def instead(self, history: History) -> str:
        """Returns what is said to a reply without a call where one is needed first, or "".

        That is where the last call failed and the reply is short, as a figure is: a long one says
        why. So it is where it names a tool that is not there, and where no call has read the table
        that is asked about.
        """
        asked = self._asked(history)
        if not asked:
            return ""
        last = history.messages[-1]  # of an empty reply, what came before it
        said = text_of(last["content"]) if last["role"] == "assistant" else ""
        if _failure(history):
            return "" if len(said) > _SHORT else self.after_results(history)
        question, language = _question(asked), self._language
        name, _ = _call_of_none(said, self._tools)
        if name and self._tools:
            tools = ", ".join(self._tools)
            return NO_SUCH_CALL[language].format(name=name, tools=tools, question=question)
        called = any(message["role"] == "function" for message in history.added())
        is_table = (asked.get("extra") or {}).get(LINES)
        if called or not is_table or _RUNS_CODE not in self._tools:
            return ""
        return DATA_UNREAD[language].format(question=question)

    def is_echo(self, text: str, history: History) -> bool:
        """Returns whether a reply only repeats what the model was told after the last results."""
        asked = self._asked(history)
        if not asked or len(text.strip()) < _SHORTEST_ECHO:
            return False
        told = self.after_results(history).rpartition(_question(asked))[0]
        return " ".join(text.split()) in " ".join(told.split())

    def code_call(self, reply: ModelReply, history: History, *, told: bool) -> ToolCall | None:
        """Returns the call of the interpreter that a reply is meant to be, or None.

        Code under the name of no tool is one. So is a block of code after a failed call, or when
        the model was told to call: then it is no example. A few failures later it is, as a model
        that has not mended its code by then will not.

        Args:
            reply: without calls.
            history: up to the reply.
            told: whether it was told in this run that it has to call a tool.
        """
        if reply.calls or _RUNS_CODE not in self._tools or not self._asked(history):
            return None
        if sum(_status(message) in FAILED for message in history.added()) >= _MOST_FAILURES:
            return None
        given = _call_of_none(reply.text, self._tools)[1].get("code")
        code = given if isinstance(given, str) else ""
        if not code and (told or _failure(history)) and reply.text.count("```") <= 2:
            block, closed = cell_in(reply.text)
            code = block if closed else ""
        if not code or fault_of(code):
            return None
        arguments = json.dumps({"code": code}, ensure_ascii=False)
        return ToolCall(0, new_call_id(), _RUNS_CODE, arguments, complete=True)

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


def _call_of_none(text: str, tools: Container[str]) -> tuple[str, Mapping[str, Any]]:
    """Returns name and arguments of the call that a reply is, if no tool has its name."""
    found = _ALL_JSON.fullmatch(text)
    value = loads_lenient(found[1]) if found else None
    if not isinstance(value, dict):
        return "", {}
    name, arguments = value.get("name"), value.get("arguments")
    if not isinstance(name, str) or not isinstance(arguments, dict) or name in tools:
        return "", {}
    return one_line(name, 80), arguments


def _failure(history: History) -> str:
    """Returns the error of the last calls where all failed and may be tried again, or ""."""
    before = dropwhile(lambda m: m["role"] == "assistant", reversed(history.messages))
    last = list(takewhile(lambda m: m["role"] == "function", before))
    statuses = {_status(message) for message in last}
    if not statuses or not statuses <= FAILED:
        return ""
    text = text_of(last[0]["content"])
    told = _ERROR_LINE.findall(text) or [text]
    return one_line(told[-1], _LONGEST_ERROR).rstrip(".。") or "no result"


def _status(message: Mapping[str, Any]) -> str:
    return str((message.get("extra") or {}).get("status") or "")


def _was_made_before(history: History) -> bool:
    """Returns whether the last call was made before in this run, with the same arguments."""
    calls = [call for m in history.added() if (call := m.get("function_call"))]
    made = [(call["name"], call["arguments"]) for call in calls]
    return bool(made) and made[-1] in made[:-1]


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
