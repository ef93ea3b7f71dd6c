"""ACEBench's single replies in English and Chinese: its normal and special cases.

Data: `data_en` and `data_zh` of ACEBench's repository (MIT), given with `--data`. It has no package
whose scorer could be imported; this follows the rules of its checker: the same functions, every
argument there and equal, strings without regard to case and spaces. Special cases ask for a reply
that names what is missing or wrong. Its conversations with simulated users are not played.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import InputError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.schemas import json_schema
from qwenbelt.workflows.evaluation.cases import EvalCase, EvalGrade, EvalRecord, in_even_order

NORMAL = (
    "atom_bool", "atom_enum", "atom_list", "atom_number", "atom_object_deep", "atom_object_short",
    "multi_turn_user_adjust", "multi_turn_user_switch", "preference", "similar_api",
    "single_turn_parallel_function", "single_turn_single_function",
)  # fmt: skip
SPECIAL = ("error_param", "incomplete", "irrelevant")
LANGUAGES = ("en", "zh")
_TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string"}
_TURN = re.compile(r"^(user|system)\s*[:：]\s*", re.M)
_SYSTEM = {
    "en": "Call the functions that the last message needs. If a needed argument is missing, say "
    "which; if a given value is wrong, say which; if no function can do it, say so. "
    "{time}{profile}",
    "zh": "请调用最后一条消息所需的函数。如果缺少必需的参数，请指出是哪些；"
    "如果给出的值有误，请指出；如果没有函数能做到，请说明。{time}{profile}",
}


class AceBenchSet:
    """ACEBench's cases.

    Args:
        folder: the folder with `data_en` and `data_zh`.
        groups: such as "zh", "en_special_incomplete" or "zh_normal_atom_bool"; all by default.

    Raises:
        InputError: there is no folder, or no such group.
    """

    name = "acebench"
    source = "ACEBench (MIT); its checker's rules, written anew"
    tools: tuple[str, ...] = ()

    def __init__(self, folder: Path | None, groups: Sequence[str] = ()) -> None:
        if folder is None:
            raise InputError("acebench needs its data.", fix="Give the folder with --data.")
        self._folder = folder
        every = [
            f"{language}_{kind}"
            for language in LANGUAGES
            for kind in [*(f"normal_{n}" for n in NORMAL), *(f"special_{n}" for n in SPECIAL)]
        ]
        self._groups = [g for g in every if not groups or any(g.startswith(w) for w in groups)]
        if not self._groups:
            raise InputError(
                f"acebench has no group {groups[0]!r}.", fix=f"Groups: {', '.join(every)}."
            )

    def cases(self) -> Sequence[EvalCase]:
        """Returns the cases of the groups, mixed evenly."""
        return in_even_order([case for group in self._groups for case in self._read(group)])

    def _read(self, group: str) -> list[EvalCase]:
        language, _, kind = group.partition("_")
        folder, name = self._folder / f"data_{language}", f"data_{kind}.json"
        if not (folder / name).is_file():
            return []
        truths = {
            row["id"]: row["ground_truth"] for row in _data_rows(folder / "possible_answer" / name)
        }
        return [
            _case_of_row(row, truths[row["id"]], group, language)
            for row in _data_rows(folder / name)
        ]

    def grade(self, case: EvalCase, record: EvalRecord) -> EvalGrade:
        """Grades calls, or the text in place of calls."""
        if "special" in case.group:
            return _graded_special(case, record)
        return _graded_calls(case.expect["truth"], record)

    def oracle(self, case: EvalCase) -> EvalRecord | None:
        """Returns the truth as calls, or as the words that it asks for."""
        truth = case.expect["truth"]
        if "special" not in case.group:
            calls = [
                {"name": _plain_name(name), "arguments": json.dumps(values)}
                for entry in (truth if isinstance(truth, list) else [truth])
                for name, values in entry.items()
            ]
            return {"answer": "", "calls": calls}
        named = [] if isinstance(truth, str) else [w for ws in truth.values() for w in ws]
        names = [] if isinstance(truth, str) else list(truth)
        return {"answer": f"I cannot do this: {', '.join(map(str, [*names, *named]))}", "calls": []}

    def adversarial(self, case: EvalCase) -> EvalRecord:
        """Returns calls of all functions without arguments."""
        calls = [{"name": one["name"], "arguments": "{}"} for one in case.ask["functions"]]
        return {
            "answer": "I called all of them.",
            "calls": calls or [{"name": "a", "arguments": ""}],
        }


def _case_of_row(row: Mapping[str, Any], truth: Any, group: str, language: str) -> EvalCase:
    time, profile = str(row.get("time") or ""), str(row.get("profile") or "")
    system = _SYSTEM[language].format(time=time, profile=f"\n{profile}" if profile else "")
    messages = [
        {"role": "system", "content": system.strip()},
        *_conversation_turns(row["question"]),
    ]
    functions = [_offered_function(function) for function in row["function"]]
    ask = {"messages": messages, "functions": functions}
    return EvalCase(f"{language}_{row['id']}", ask, {"truth": truth}, (), group)


def _conversation_turns(text: str) -> list[dict[str, str]]:
    """Returns the turns of a conversation that is written as one text."""
    marks = list(_TURN.finditer(text))
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    turns = [
        {
            "role": "user" if mark[1] == "user" else "assistant",
            "content": text[mark.end() : end].strip(),
        }
        for mark, end in zip(marks, ends, strict=True)
    ]
    return turns or [{"role": "user", "content": text.strip()}]


def _offered_function(function: Mapping[str, Any]) -> dict[str, Any]:
    parameters = function.get("parameters") or function.get("arguments") or {}
    return {
        "name": _plain_name(function["name"]),
        "description": str(function.get("description") or ""),
        "parameters": json_schema(
            _typed_schema(parameters) or {"type": "object", "properties": {}}
        ),
    }


def _plain_name(name: str) -> str:
    """Returns a name without what endpoints refuse; a number of a repeated call is left out."""
    return re.sub(r"[^\w-]", "_", re.sub(r"_\d+$", "", name))[:64]


def _typed_schema(value: Any) -> Any:
    if isinstance(value, list):
        return [_typed_schema(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    out = {key: _typed_schema(entry) for key, entry in value.items()}
    if isinstance(out.get("type"), str):
        out["type"] = _TYPES.get(out["type"].lower(), out["type"].lower())
    return out


def _graded_calls(truth: Any, record: EvalRecord) -> EvalGrade:
    left = [
        (_plain_name(name), values)
        for entry in (truth if isinstance(truth, list) else [truth])
        for name, values in entry.items()
    ]
    calls = record.get("calls") or []
    if len(calls) != len(left):
        return EvalGrade(False, f"{len(calls)} calls, not {len(left)}")
    for call in calls:
        try:
            arguments = loads_bounded(call["arguments"] or "{}")
        except ValueError:
            return EvalGrade(False, "a call's arguments are no JSON")
        found = next(
            (e for e in left if e[0] == call["name"] and _same_calls(arguments, e[1])), None
        )
        if found is None:
            return EvalGrade(False, f"{call['name']}({call['arguments'][:120]})")
        left.remove(found)
    return EvalGrade(True)


def _graded_special(case: EvalCase, record: EvalRecord) -> EvalGrade:
    if record.get("calls"):
        return EvalGrade(False, f"calls {record['calls'][0]['name']}")
    said = str(record.get("answer") or "").casefold()
    if not said.strip():
        return EvalGrade(False, "no reply")
    truth = case.expect["truth"]
    wanted = [] if isinstance(truth, str) else [str(w) for ws in truth.values() for w in ws]
    lacking = [word for word in wanted if word.strip().casefold() not in said]
    return EvalGrade(not lacking, f"does not name {', '.join(lacking)}" if lacking else "")


def _same_calls(given: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return (
            isinstance(given, dict)
            and given.keys() == wanted.keys()
            and all(_same_calls(given[key], wanted[key]) for key in wanted)
        )
    if isinstance(wanted, list):
        return (
            isinstance(given, list)
            and len(given) == len(wanted)
            and all(map(_same_calls, given, wanted))
        )
    if isinstance(wanted, str):
        return isinstance(given, str) and _folded(given) == _folded(wanted)
    if isinstance(wanted, bool) or isinstance(given, bool):
        return given is wanted
    return bool(given == wanted)


def _folded(text: str) -> str:
    return re.sub(r"[\s'\"_.,!?-]", "", text).casefold()


def _data_rows(path: Path) -> list[dict[str, Any]]:
    return [loads_bounded(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
