"""Berkeley's function calling leaderboard, version 4, by the data and checkers of `bfcl-eval`.

Single replies are checked by its AST checker, conversations by its multi-turn checker, which also
plays the tools. The package pulls in the clients of forty services; it works without them, unpacked
with `pip install --no-deps bfcl-eval`, because its table of models is all that needs them.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import types
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import ConfigError, InputError, one_line
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.workflows.evaluation.cases import EvalCase, EvalGrade, EvalRecord, in_even_order

MODEL = "qwenbelt"
PACKAGE = "bfcl_eval"
TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string"}
CALLS = (
    "simple_python", "simple_java", "simple_javascript", "multiple", "parallel",
    "parallel_multiple", "live_simple", "live_multiple", "live_parallel",
    "live_parallel_multiple",
)  # fmt: skip
NO_CALLS = ("irrelevance", "live_irrelevance")
SOME_CALL = ("live_relevance",)
TURNS = (
    "multi_turn_base",
    "multi_turn_miss_func",
    "multi_turn_miss_param",
    "multi_turn_long_context",
)
SINGLE = (*CALLS, *NO_CALLS, *SOME_CALL)


class BerkeleySet:
    """The leaderboard's cases.

    Args:
        folder: the package's `data` folder; where the package is installed by default.
        groups: categories; all single replies by default.

    Raises:
        ConfigError: the package is missing.
        InputError: there is no such category.
    """

    name = "bfcl"
    source = "bfcl-eval (Apache-2.0), its data and checkers"
    tools: tuple[str, ...] = ()

    def __init__(self, folder: Path | None, groups: Sequence[str] = ()) -> None:
        self._folder = data_folder(folder)
        self._groups = tuple(groups) or SINGLE
        unknown = [group for group in self._groups if group not in (*SINGLE, *TURNS)]
        if unknown:
            raise InputError(
                f"bfcl has no group {unknown[0]!r}.", fix=f"Groups: {', '.join((*SINGLE, *TURNS))}."
            )

    def cases(self) -> Sequence[EvalCase]:
        """Returns the cases of the categories, mixed evenly."""
        return in_even_order([case for group in self._groups for case in self._read(group)])

    def _read(self, group: str) -> list[EvalCase]:
        name = f"BFCL_v4_{group}.json"
        answers = {
            row["id"]: row["ground_truth"]
            for row in _data_rows(self._folder / "possible_answer" / name)
        }
        rows = _data_rows(self._folder / name)
        if not rows:
            raise InputError(f"{self._folder / name}: is missing.")
        if group in TURNS:
            return [self._turns(row, answers.get(row["id"]), group) for row in rows]
        return [_single_turn_case(row, answers.get(row["id"]), group) for row in rows]

    def _turns(self, row: Mapping[str, Any], truth: Any, group: str) -> EvalCase:
        if "MathAPI" in row["involved_classes"] and importlib.util.find_spec("mpmath") is None:
            raise ConfigError("bfcl's conversations need mpmath.", fix="pip install mpmath")
        ask = {"world": "bfcl", "entry": dict(row), "data": str(self._folder)}
        return EvalCase(row["id"], ask, {"truth": truth, "entry": dict(row)}, (), group)

    def grade(self, case: EvalCase, record: EvalRecord) -> EvalGrade:
        """Grades a record by the leaderboard's checkers."""
        if case.group in TURNS:
            return _graded_turns(case, record)
        calls = _recorded_calls(record)
        if case.group in NO_CALLS:
            if calls:
                return EvalGrade(False, f"calls {', '.join(next(iter(c)) for c in calls)}")
            said = bool(str(record.get("answer") or "").strip())
            return EvalGrade(said, "" if said else "no reply")
        if case.group in SOME_CALL:
            return EvalGrade(bool(calls), "" if calls else "calls nothing")
        return _checked_calls(case, calls)

    def oracle(self, case: EvalCase) -> EvalRecord | None:
        """Returns a possible answer; of Java and JavaScript there is none in the form of a call."""
        if case.group in NO_CALLS:
            return {"answer": "None of the functions can do this.", "calls": []}
        if case.group in TURNS:
            return {"answer": "Done.", "calls": [], "turns": [[t] for t in case.expect["truth"]]}
        if case.group in SOME_CALL:
            name = case.ask["functions"][0]["name"]
            return {"answer": "", "calls": [{"name": name, "arguments": "{}"}]}
        if "java" in case.group:
            return None
        # the data does not say whether what may be left out is declared: both are tried
        for empty, optional in ((False, True), (False, False), (True, True)):
            calls = [
                {
                    "name": name.replace(".", "_"),
                    "arguments": json.dumps(_first_values(values, empty, optional)),
                }
                for entry in case.expect["truth"]
                for name, values in entry.items()
            ]
            made: EvalRecord = {"answer": "", "calls": calls}
            if self.grade(case, made).passed:
                return made
        return None  # the checker takes none of the data's own answers

    def adversarial(self, case: EvalCase) -> EvalRecord:
        """Returns calls of all functions without arguments; of none where some are wanted."""
        if case.group in SOME_CALL:
            return {"answer": "I called the right function.", "calls": []}
        if case.group in TURNS:
            return {"answer": "All done.", "calls": [], "turns": [[["pwd()"]]] * 9}
        functions = case.ask["functions"] or [{"name": "answer"}]
        calls = [{"name": one["name"], "arguments": "{}"} for one in functions for _ in "ab"]
        return {"answer": "I called all of them.", "calls": calls}


def data_folder(given: Path | None) -> Path:
    """Returns the folder of the data, and makes the package beside it importable.

    Raises:
        ConfigError: the package is missing.
    """
    if given is not None and importlib.util.find_spec(PACKAGE) is None:
        package = given.resolve().parent
        if package.name == PACKAGE and str(package.parent) not in sys.path:
            sys.path.append(str(package.parent))
            importlib.invalidate_caches()
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.origin:
        raise ConfigError(
            "bfcl needs the package bfcl-eval.", fix="pip install --no-deps bfcl-eval"
        )
    return given or Path(spec.origin).parent / "data"


def official_module(module: str) -> Any:
    """Returns a module of the package; its table of models is a stand-in of one flag."""
    name = f"{PACKAGE}.constants.model_config"
    if name not in sys.modules:
        stub: Any = types.ModuleType(name)
        # True: names were offered with "_" for ".", as endpoints want it
        flags = types.SimpleNamespace(underscore_to_dot=True)
        stub.MODEL_CONFIG_MAPPING = defaultdict(lambda: flags)
        sys.modules[name] = stub
    try:
        return importlib.import_module(f"{PACKAGE}.{module}")
    except ImportError as error:
        raise ConfigError(
            f"bfcl-eval lacks {error.name}.", fix=f"pip install {error.name or 'bfcl-eval'}"
        ) from error


def offered_function(function: Mapping[str, Any], group: str = "") -> dict[str, Any]:
    """Returns a declaration of one of the leaderboard's functions, as its own handlers make it."""
    parameters = dict(function["parameters"])
    if "java" in group:
        language = "JavaScript" if "javascript" in group else "Java"
        parameters["properties"] = {
            name: {
                "type": "string",
                "description": f"{value.get('description', '')} This is {language} "
                f"{value.get('type')} type parameter in string representation.",
            }
            for name, value in parameters["properties"].items()
        }
    name = function["name"].replace(".", "_")
    return {**function, "name": name, "parameters": _json_schema(parameters)}


def _json_schema(value: Any) -> Any:
    if isinstance(value, list):
        return [_json_schema(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    out = {key: _json_schema(entry) for key, entry in value.items() if key != "default"}
    if isinstance(out.get("type"), str):
        out["type"] = TYPES.get(out["type"].lower(), out["type"].lower())
    return out


def _single_turn_case(row: Mapping[str, Any], truth: Any, group: str) -> EvalCase:
    functions = [offered_function(function, group) for function in row["function"]]
    ask = {"messages": row["question"][0], "functions": functions}
    return EvalCase(row["id"], ask, {"truth": truth, "functions": row["function"]}, (), group)


def _recorded_calls(record: EvalRecord) -> list[dict[str, Any]]:
    found = []
    for call in record.get("calls") or []:
        try:
            arguments = loads_bounded(call["arguments"] or "{}")
        except ValueError:
            arguments = None
        found.append({call["name"]: arguments})
    return found


def _checked_calls(case: EvalCase, calls: list[dict[str, Any]]) -> EvalGrade:
    if not calls:
        return EvalGrade(False, "calls nothing")
    if any(not isinstance(values, dict) for call in calls for values in call.values()):
        return EvalGrade(False, "a call's arguments are no object")
    checker = official_module("eval_checker.ast_eval.ast_checker").ast_checker
    languages = official_module("constants.enums").Language
    language = languages.PYTHON
    if "java" in case.group:
        language = languages.JAVASCRIPT if "javascript" in case.group else languages.JAVA
        for call in calls:
            for name, values in call.items():
                call[name] = {key: _as_written(value) for key, value in values.items()}
    try:
        functions, truth = case.expect["functions"], case.expect["truth"]
        found = checker(functions, calls, truth, language, case.group, MODEL)
    # the checker trusts its input, which a model wrote: what it cannot check is wrong
    except Exception as error:
        return EvalGrade(False, one_line(f"{type(error).__name__}: {error}"))
    return EvalGrade(
        bool(found["valid"]), one_line(f"{found.get('error') or ''}", 200).strip("[]'")
    )


def _as_written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _first_values(values: Mapping[str, Any], empty: bool, optional: bool) -> dict[str, Any]:
    """Returns the first possible value of each argument.

    Args:
        values: possible values by argument; "" among them means that it may be left out.
        empty: whether an empty text is given where nothing else is possible.
        optional: whether what may be left out is given.
    """
    found = {}
    for name, allowed in values.items():
        if not isinstance(allowed, list):
            found[name] = allowed
            continue
        given = [value for value in allowed if value != ""]
        if given and (optional or len(given) == len(allowed)):
            found[name] = _first(given[0], empty, optional)
        elif empty and not given:
            found[name] = ""
    return found


def _first(value: Any, empty: bool, optional: bool) -> Any:
    if isinstance(value, dict):
        return _first_values(value, empty, optional)
    if isinstance(value, list):
        return [_first(entry, empty, optional) for entry in value]
    return value


def _graded_turns(case: EvalCase, record: EvalRecord) -> EvalGrade:
    turns = record.get("turns") or []
    truth = case.expect["truth"]
    if len(turns) < len(truth):
        return EvalGrade(False, f"{len(turns)} of {len(truth)} turns")
    checker = official_module("eval_checker.multi_turn_eval.multi_turn_checker").multi_turn_checker
    name = f"{MODEL}_{id(record)}"
    try:
        found = checker(turns[: len(truth)], truth, case.expect["entry"], case.group, name)
    except Exception as error:  # as above
        return EvalGrade(False, one_line(f"{type(error).__name__}: {error}"))
    return EvalGrade(bool(found["valid"]), one_line(str(found.get("error_message") or ""), 200))


def _data_rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [loads_bounded(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


__all__ = ["BerkeleySet", "data_folder", "offered_function", "official_module"]
