from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.core.errors import ConfigError, InputError
from qwenbelt.workflows.inspection.answers import InspectionAnswer, read_answer
from qwenbelt.workflows.inspection.rules import SAFETY, load_rules

SIZE = (1000, 1000)
FIRE = {"bbox_2d": [100, 100, 300, 300], "label": "fire", "sub_label": "severe"}
MAN = {"bbox_2d": [500, 500, 600, 800], "label": "person", "sub_label": "wearing"}


def read(text: str) -> InspectionAnswer:
    return read_answer(text, SAFETY, "thousand", SIZE, SIZE)


def labels(answer: InspectionAnswer) -> list[tuple[str, str]]:
    return [(found.label, found.sub_label) for found in answer.objects]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([FIRE, MAN]),
        "```json\n" + json.dumps([FIRE, MAN], indent=1) + "\n```",
        "Here is what I see:\n" + json.dumps([FIRE, MAN]) + "\nStay safe!",
        json.dumps({"objects": [FIRE, MAN]}),
        json.dumps([FIRE, MAN])[:-1] + ',{"bbox_2d": [1, 2',
        json.dumps(FIRE) + ",\n" + json.dumps(MAN),
        "[" + json.dumps(FIRE).replace('"', "'") + ", " + json.dumps(MAN) + ",]",
        json.dumps([FIRE, {**FIRE, "bbox_2d": [101, 100, 300, 301]}, MAN]),
        json.dumps([FIRE, {"bbox_2d": [1, 2, 3], "label": "fire"}, "x", MAN]),
        json.dumps([FIRE, {**MAN, "label": "cat"}, MAN]),
        json.dumps([{**FIRE, "label": "火焰", "sub_label": "严重"}, MAN], ensure_ascii=False),
        json.dumps([FIRE, MAN, {**FIRE, "bbox_2d": [2000, 2000, 3000, 3000]}]),
    ],
)
def test_bad_answers_are_repaired_or_their_good_part_is_kept(text: str) -> None:
    assert labels(read(text)) == [("fire", "severe"), ("person", "wearing")]


@pytest.mark.parametrize("text", ["", "I cannot see the picture.", "```json\n```", "null", "42"])
def test_what_is_no_list_is_reported(text: str) -> None:
    with pytest.raises(InputError, match="not a list"):
        read(text)


def test_nothing_found_is_an_answer() -> None:
    assert read("[]").objects == ()
    assert read("```json\n[]\n```").objects == ()


def test_an_unknown_grade_becomes_unsure_and_is_noted() -> None:
    answer = read(json.dumps([{**FIRE, "sub_label": "gigantic"}]))
    assert labels(answer) == [("fire", "unsure")]
    assert "gigantic" in answer.notes[0]


def test_no_more_objects_than_the_rules_allow() -> None:
    many = [{**FIRE, "bbox_2d": [n * 50, 0, n * 50 + 20, 20]} for n in range(15)]
    answer = read(json.dumps(many))
    assert len(answer.objects) == 10
    assert any("over the limit" in note for note in answer.notes)


def test_an_answer_without_any_usable_object_is_reported() -> None:
    with pytest.raises(InputError, match="unknown label"):
        read(json.dumps([{**FIRE, "label": "dragon"}]))


@given(st.text(max_size=300))
def test_no_answer_whatever_breaks_the_reader(text: str) -> None:
    with contextlib.suppress(InputError):
        answer = read(text)
        assert all(found.label in SAFETY.classes for found in answer.objects)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["bbox_2d", "label", "sub_label", "x"]), inner)
        ),
        max_leaves=12,
    )
)
def test_no_json_whatever_breaks_the_reader(value: object) -> None:
    with contextlib.suppress(InputError):
        read(json.dumps(value))


def test_rules_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "title: {en: Parking}\nclasses:\n  car: {color: orange, grades: [ok, blocked]}\n",
        encoding="utf-8",
    )
    rules = load_rules(path)
    text = '[{"bbox": [0, 0, 500, 500], "label": "Cars", "sub_label": "blocked"}]'
    answer = read_answer(text, rules, "thousand", SIZE, SIZE)
    assert labels(answer) == [("car", "blocked")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("classes: 3", "classes"),
        ("klasses: {}", "klasses|classes"),
        ("a: [", "YAML"),
        ("[" * 5000, "cannot be read as YAML"),
        ("since: 2024-13-45", "cannot be read as YAML"),
    ],
)
def test_wrong_rules_are_one_clear_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        load_rules(path)
