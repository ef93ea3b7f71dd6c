"""Graders, paired comparison, and sets that can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.core.errors import InputError
from qwenbelt.workflows.evaluation.acebench import AceBenchSet
from qwenbelt.workflows.evaluation.cases import EvalCase, in_even_order
from qwenbelt.workflows.evaluation.comparing import compare_runs, sign_test
from qwenbelt.workflows.evaluation.dabench import DataAnalysisSet
from qwenbelt.workflows.evaluation.graders import grade_answer
from qwenbelt.workflows.evaluation.job import check_set
from qwenbelt.workflows.evaluation.outcome import EvalOutcome, EvalTrial
from qwenbelt.workflows.evaluation.own_set import OwnSet


@pytest.mark.parametrize(
    ("answer", "expect", "passes"),
    [
        ("It is 42.", {"number": 42}, True),
        ("It is 142.", {"number": 42}, False),
        ("In 2022 sales were $1,577 million.", {"number": 1577}, True),
        ("Sales were 1,577 million in 2022, after 2021.", {"number": 1577}, True),
        ("The ratio is 36%.", {"number": 0.36}, True),
        ("About 41.8", {"number": 42, "tolerance": 0.5}, True),
        ("About 41.4", {"number": 42, "tolerance": 0.5}, False),
        ("1, 42, 7", {"number": 42}, False),  # neither its first nor its last
        ("From 5 to 9 is 4. The answer is 4", {"number": 4}, True),
        (" yes\n", {"exact": "yes"}, True),
        ("Yes", {"exact": "yes"}, False),
        ("Apples and PEARS", {"contains": ["apple", "pear"]}, True),
        ("only apples", {"contains": ["apple", "pear"]}, False),
        ("grew to 1,253", {"contains": "253"}, False),
        ("grew to 1253", {"contains": "1,253"}, True),
        ("it declined", {"accept": [["fell", "declin*"]]}, True),
        ('```json\n{"x": 1}\n```', {"schema": {"required": ["x"]}}, True),
        ('{"y": 1}', {"schema": {"required": ["x"]}}, False),
        ("not JSON", {"schema": {}}, False),
        ("", {"contains": ""}, False),
    ],
)
def test_an_answer_is_graded(answer: str, expect: dict[str, Any], passes: bool) -> None:
    found = grade_answer(answer, expect)
    assert found.passed is passes
    assert passes or found.detail


@given(st.floats(-1e9, 1e9, allow_nan=False).map(lambda value: round(value, 4)))
def test_a_number_that_is_said_is_found(value: float) -> None:
    assert grade_answer(f"The result is {value:.4f} in all", {"number": value}).passed


def test_sets_of_ones_own_say_what_is_wrong_with_a_line(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    for line, problem in (
        ("{", "not a JSON object"),
        ('{"id": 1}', "question"),
        ('{"question": "q"}', "expect"),
        ('{"question": "q", "expect": {"equals": 1}}', "equals"),
        ('{"question": "q", "expect": {"number": "1"}}', "number"),
        ('{"question": "q", "files": ["no.pdf"], "expect": {"exact": "a"}}', "no.pdf"),
    ):
        path.write_text(line, encoding="utf-8")
        with pytest.raises(InputError, match=problem):
            OwnSet(path)


def test_the_oracle_passes_and_the_others_do_not(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    rows: list[dict[str, Any]] = [
        {"id": "a", "question": "How many?", "expect": {"number": 12.5, "tolerance": 0.1}},
        {"id": "b", "question": "Say it.", "expect": {"exact": ["yes", "Yes"]}},
        {"id": "c", "question": "Which?", "expect": {"contains": ["pear", "17"]}},
        {"id": "d", "question": "Why?", "accept": [["new store*"], ["45.2", "45.20"]]},
        {"id": "e", "question": "When?", "unanswerable": True},
        {"id": "f", "question": "How?", "expect": {"schema": {"type": "object"}}},
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert check_set(OwnSet(path)) == {"oracle": (5, 5), "no-op": (0, 6), "adversarial": (0, 6)}


def test_tables_questions_want_every_value(tmp_path: Path) -> None:
    (tmp_path / "da-dev-tables").mkdir()
    row = {"id": 7, "question": "Mean?", "constraints": "Two places.", "format": "@mean[value]"}
    row |= {"file_name": "t.csv", "level": "easy"}
    (tmp_path / "da-dev-questions.jsonl").write_text(json.dumps(row), encoding="utf-8")
    label = {"id": 7, "common_answers": [["mean", "34.65"], ["n", "3"]]}
    (tmp_path / "da-dev-labels.jsonl").write_text(json.dumps(label), encoding="utf-8")
    found = DataAnalysisSet(tmp_path)
    assert check_set(found) == {"oracle": (1, 1), "no-op": (0, 1), "adversarial": (0, 1)}
    (case,) = found.cases()
    assert found.grade(case, {"answer": "@mean[34.650] @n[3]"}).passed
    assert found.grade(case, {"answer": "@mean[34.65]"}).detail == "has no @n[…]"
    assert not found.grade(case, {"answer": "@mean[34.6] @n[3]"}).passed


def test_calls_are_compared_by_value(tmp_path: Path) -> None:
    folder = tmp_path / "data_en"
    (folder / "possible_answer").mkdir(parents=True)
    for name, truth in (
        ("normal_atom_bool", {"plan.meal": {"kind": "Dinner", "veg": True}}),
        ("special_incomplete", {"plan.meal": ["kind"]}),
    ):
        schema = {"type": "dict", "properties": {"kind": {"type": "string"}}}
        row = {"id": f"{name}_0", "question": "user: Plan a meal.\nsystem: Which?\nuser: Dinner."}
        row |= {"function": [{"name": "plan.meal", "arguments": schema}]}  # type: ignore[dict-item]
        (folder / f"data_{name}.json").write_text(json.dumps(row), encoding="utf-8")
        answer = {"id": f"{name}_0", "ground_truth": truth}
        (folder / "possible_answer" / f"data_{name}.json").write_text(json.dumps(answer), "utf-8")
    found = AceBenchSet(tmp_path)
    assert check_set(found) == {"oracle": (2, 2), "no-op": (0, 2), "adversarial": (0, 2)}
    case = next(case for case in found.cases() if "atom" in case.id)
    assert [m["role"] for m in case.ask["messages"]] == ["system", "user", "assistant", "user"]
    assert case.ask["functions"][0]["parameters"]["type"] == "object"
    right = {"name": "plan_meal", "arguments": '{"kind": "dinner", "veg": true}'}
    assert found.grade(case, {"calls": [right]}).passed
    wrong = {"name": "plan_meal", "arguments": '{"kind": "dinner", "veg": 1}'}
    assert not found.grade(case, {"calls": [wrong]}).passed


def outcome(passed: str) -> EvalOutcome:
    rows = [EvalTrial(str(place), 1, one == "1") for place, one in enumerate(passed)]
    return EvalOutcome("set", "here", "m", 1, rows)


def test_two_evaluations_are_compared_in_pairs() -> None:
    found = compare_runs(outcome("0000000011"), outcome("1111111111"))
    assert (len(found.better), found.worse, found.verdict) == (8, (), "better")
    assert found.p == pytest.approx(2 / 2**8)
    assert compare_runs(outcome("1100"), outcome("1010")).verdict == "no clear difference"
    assert compare_runs(outcome("1" * 9), outcome("0" * 9)).verdict == "worse"
    assert sign_test(0, 0) == 1.0
    with pytest.raises(InputError, match="share no case"):
        compare_runs(outcome("1"), EvalOutcome("set", "here", "m", 1))


def test_k_attempts_that_all_pass() -> None:
    rows = [EvalTrial("a", n, n < 3) for n in (1, 2, 3)] + [
        EvalTrial("b", n, True) for n in (1, 2, 3)
    ]
    found = EvalOutcome("set", "here", "m", 3, rows)
    assert found.score == pytest.approx(5 / 6)
    assert found.pass_hat == pytest.approx({1: 5 / 6, 2: (1 / 3 + 1) / 2, 3: 0.5})
    assert found.interval[0] < found.score < found.interval[1]


def test_any_first_part_has_all_groups_alike() -> None:
    cases = [
        EvalCase(f"{g}{n}", {}, {}, (), g) for g, many in (("a", 4), ("b", 2)) for n in range(many)
    ]
    assert [case.id for case in in_even_order(cases)] == ["a0", "b0", "a1", "b1", "a2", "a3"]
