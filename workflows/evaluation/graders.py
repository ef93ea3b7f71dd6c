"""Graders of sets of one's own: an answer against what is expected of it."""

from __future__ import annotations

import json
import re
import tempfile
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qwenbelt.core.closing import Closing
from qwenbelt.core.errors import InputError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.tools.base import result_items
from qwenbelt.workflows.evaluation.cases import EvalGrade

if TYPE_CHECKING:
    pass

KINDS = ("exact", "number", "contains", "accept", "schema", "code", "judge")
_NUMBER = re.compile(
    r"(?<![\w.,])[-−]?\$?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?\s?%?"
)
_SAID = re.compile(r"(?:answer(?: is)?|答案(?:是|为)?)\s*[:：=]?\s*(.+)", re.I)
_FENCE = re.compile(r"```(?:json)?\s*\n?(.*?)```", re.S)
CODE_SECONDS = 20
_MARK = "qwenbelt-grade:"


def grade_answer(
    answer: str, expect: Mapping[str, Any], code: CodeGrader | None = None
) -> EvalGrade:
    """Grades an answer; everything that is expected has to hold.

    Args:
        answer: the model's final text.
        expect: what is expected, by the names in `KINDS`.
        code: runs the graders that are code.
    """
    if not answer.strip():
        return EvalGrade(False, "no answer")
    for kind, wanted in expect.items():
        if kind == "code":
            found = (code or CodeGrader()).grade(str(wanted), answer)
        elif kind in _PLAIN:
            found = _PLAIN[kind](answer, wanted, expect)
        else:  # "tolerance" belongs to a number; a judge was asked during the run
            continue
        if not found.passed:
            return found
    return EvalGrade(True)


def _grade_exact(answer: str, wanted: Any, _: Mapping[str, Any]) -> EvalGrade:
    allowed = [str(one).strip() for one in (wanted if isinstance(wanted, list) else [wanted])]
    passed = answer.strip() in allowed
    return EvalGrade(passed, "" if passed else f"is not exactly {allowed[0]!r}")


def _grade_number(answer: str, wanted: Any, expect: Mapping[str, Any]) -> EvalGrade:
    target = float(wanted)
    tolerance = float(expect.get("tolerance") or 0)
    margin = max(tolerance, abs(target) * 1e-9)
    found = stated_numbers(answer, target)
    passed = any(abs(value - target) <= margin for value in found)
    said = ", ".join(f"{value:g}" for value in found) or "no number"
    return EvalGrade(passed, "" if passed else f"says {said}, not {target:g}")


def stated_numbers(answer: str, target: float = 0.0) -> list[float]:
    """Returns the numbers that an answer gives as its result.

    These are of what it calls the answer, else of all of it, the first and the last number that is
    no year; a per cent also as a share.
    """
    said = _SAID.findall(answer)
    for text in (said[-1] if said else "", answer):
        found = [(match[0], _value(match[0])) for match in _NUMBER.finditer(text)]
        if not _is_year(target):
            found = [entry for entry in found if not _is_year(entry[1])] or found
        if found:
            ends = list(dict.fromkeys([found[0], found[-1]]))
            shares = [value / 100 for text, value in ends if text.endswith("%")]
            return [*(value for _, value in ends), *shares]
    return []


def _value(text: str) -> float:
    return float(re.sub(r"[,$%\s]", "", text.replace("−", "-")))


def _is_year(value: float) -> bool:
    return value.is_integer() and 1900 <= value <= 2100


def plain_text(text: str) -> str:
    """Returns a text in which case, typography and spaces do not count."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    folded = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", folded)
    return re.sub(r"[\s|*]+", " ", folded)


def answer_holds(answer: str, wanted: str) -> bool:
    """Returns whether words are in an answer; numbers only as a whole, `*` ends an open word."""
    text, open_end = plain_text(answer), wanted.endswith("*")
    part = plain_text(wanted.removesuffix("*")).strip()
    if not part:
        return True
    before = r"(?<!\d)(?<!\d[.,])" if part[0].isdigit() else ""
    after = r"(?!\d)(?![.,]\d)" if part[-1].isdigit() and not open_end else ""
    return re.search(before + re.escape(part) + after, text) is not None


def _grade_contains(answer: str, wanted: Any, _: Mapping[str, Any]) -> EvalGrade:
    parts = wanted if isinstance(wanted, list) else [wanted]
    lacking = [str(part) for part in parts if not answer_holds(answer, str(part))]
    return EvalGrade(not lacking, f"lacks {', '.join(map(repr, lacking))}" if lacking else "")


def _grade_accepted(answer: str, wanted: Any, _: Mapping[str, Any]) -> EvalGrade:
    """One string of each group has to be in the answer."""
    for group in wanted:
        if not any(answer_holds(answer, str(one)) for one in group):
            return EvalGrade(False, f"has none of {', '.join(map(str, group))}")
    return EvalGrade(True)


def _grade_schema(answer: str, wanted: Any, _: Mapping[str, Any]) -> EvalGrade:
    from qwenbelt.core.schema_check import SchemaCheck, SchemaUnusable

    fenced = _FENCE.search(answer)
    try:
        value = loads_bounded(fenced[1] if fenced else answer)
        fault = SchemaCheck(wanted).fault(value)
    except SchemaUnusable as error:
        return EvalGrade(False, f"has a form that cannot be checked ({error})")
    except ValueError as error:
        return EvalGrade(False, f"is not JSON ({error})")
    return EvalGrade(fault is None, fault[1][:200] if fault is not None else "")


_PLAIN = {
    "exact": _grade_exact,
    "number": _grade_number,
    "contains": _grade_contains,
    "accept": _grade_accepted,
    "schema": _grade_schema,
}


class CodeGrader(Closing):
    """Runs `def grade(answer)` in the code interpreter's sandbox, one session for all.

    A grader returns whether the answer passes, or that and why.
    """

    def __init__(self, *, allow_unsandboxed: bool = False) -> None:
        self._allow = allow_unsandboxed
        self._tool: Any = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def grade(self, source: str, answer: str) -> EvalGrade:
        """Grades an answer by code.

        Raises:
            InputError: there is no sandbox here and code may not run without one.
        """
        said = self._run(_grading_code(source, answer))
        for line in reversed(said.splitlines()):
            if line.startswith(_MARK):
                passed, detail = json.loads(line.removeprefix(_MARK))
                return EvalGrade(bool(passed), str(detail or ("" if passed else "refused by code")))
        return EvalGrade(False, f"the grader failed: {said.strip()[-200:]}")

    def _run(self, code: str) -> str:
        from qwenbelt.tools.code_interpreter import isolation_level
        from qwenbelt.tools.code_interpreter.tool import CodeInterpreter

        if not self._allow and isolation_level() == "none":
            raise InputError(
                "Graders that are code need a sandbox, and there is none here.",
                fix="--allow-unsandboxed runs them with your rights.",
            )
        if self._tool is None:
            self._folder = tempfile.TemporaryDirectory(prefix="qwenbelt-grade-")
            cfg = {"work_dir": self._folder.name, "allow_unsandboxed": self._allow}
            self._tool = CodeInterpreter(cfg)
        result = self._tool.call({"code": code, "timeout": CODE_SECONDS})
        return "\n".join(item.value for item in result_items(result) if item.kind == "text")

    def close(self) -> None:
        """Ends the session."""
        if self._tool is not None:
            self._tool.close()
        if self._folder is not None:
            self._folder.cleanup()


def _grading_code(source: str, answer: str) -> str:
    """Returns code that grades; source and answer are values in it, never code of ours."""
    return (
        "import json as _json\n"
        f"_space = {{}}\nexec(_json.loads({json.dumps(json.dumps(source))}), _space)\n"
        f"_said = _space['grade'](_json.loads({json.dumps(json.dumps(answer))}))\n"
        "_said = _said if isinstance(_said, (tuple, list)) else (_said, '')\n"
        f"print({_MARK!r} + _json.dumps([bool(_said[0]), str(_said[1])]))\n"
    )


__all__ = ["KINDS", "CodeGrader", "answer_holds", "grade_answer", "plain_text", "stated_numbers"]
