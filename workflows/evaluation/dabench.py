"""InfiAgent-DABench: questions on CSV tables with closed-form answers.

Data: `da-dev-questions.jsonl`, `da-dev-labels.jsonl` and `da-dev-tables/` of InfiAgent's
repository (Apache-2.0), given with `--data`. An answer is right when every `@name[value]` that is
wanted is there; numbers may differ by less than one in a million, as in its own scorer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import InputError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.workflows.evaluation.cases import (
    EvalCase,
    EvalGrade,
    EvalRecord,
    answer_record,
    in_even_order,
)

_VALUE = re.compile(r"@(\w+)\[([^\]]*)\]")
_MARGIN = 1e-6
_TASK = (
    "{question}\n\nConstraints: {constraints}\n\nThe table is {file}. End with the answer in "
    "exactly this form, values in the place of the names in brackets:\n{format}"
)


class DataAnalysisSet:
    """DABench's development half.

    Args:
        folder: the folder with the data.
        groups: levels (easy, medium, hard); all by default.

    Raises:
        InputError: there is no folder, or it lacks a file.
    """

    name = "dabench"
    source = "InfiAgent-DABench (Apache-2.0), scored as its eval_closed_form does"
    tools = ("code_interpreter",)

    def __init__(self, folder: Path | None, groups: Sequence[str] = ()) -> None:
        if folder is None:
            raise InputError("dabench needs its data.", fix="Give the folder with --data.")
        self._folder, self._groups = folder, tuple(groups)

    def cases(self) -> Sequence[EvalCase]:
        """Returns the questions, the levels mixed evenly."""
        labels = {row["id"]: row["common_answers"] for row in self._rows("da-dev-labels.jsonl")}
        found = []
        for row in self._rows("da-dev-questions.jsonl"):
            if self._groups and row["level"] not in self._groups:
                continue
            table = self._folder / "da-dev-tables" / row["file_name"]
            question = _TASK.format(
                question=row["question"],
                constraints=row["constraints"],
                file=row["file_name"],
                format=row["format"],
            )
            expect = {"values": labels[row["id"]]}
            files = (str(table.absolute()),)
            found.append(
                EvalCase(str(row["id"]), {"question": question}, expect, files, row["level"])
            )
        return in_even_order(found)

    def _rows(self, name: str) -> list[dict[str, Any]]:
        path = self._folder / name
        if not path.is_file():
            raise InputError(f"{path}: is missing.")
        return [
            loads_bounded(line) for line in path.read_text("utf-8").splitlines() if line.strip()
        ]

    def grade(self, case: EvalCase, record: EvalRecord) -> EvalGrade:
        """Returns whether every value that is wanted is there; the last one of a name counts."""
        given = dict(_VALUE.findall(str(record.get("answer") or "")))
        for name, wanted in dict(case.expect["values"]).items():
            if name not in given:
                return EvalGrade(False, f"has no @{name}[…]")
            if not _same_value(given[name], wanted):
                return EvalGrade(False, f"@{name}[{given[name]}], not {wanted}")
        return EvalGrade(True)

    def oracle(self, case: EvalCase) -> EvalRecord | None:
        """Returns the labels as an answer."""
        return answer_record(" ".join(f"@{name}[{value}]" for name, value in case.expect["values"]))

    def adversarial(self, case: EvalCase) -> EvalRecord:
        """Returns all names with a value that is none."""
        named = " ".join(f"@{name}[correct]" for name, _ in case.expect["values"])
        return answer_record(f"{case.ask['question']}\n{named} passed")


def _same_value(given: str, wanted: str) -> bool:
    if given.strip() == wanted.strip():
        return True
    try:
        return abs(float(given) - float(wanted)) < _MARGIN
    except ValueError:
        return False
