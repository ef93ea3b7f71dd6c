from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwenbelt.core.errors import InputError
from qwenbelt.workflows.batch.tasks import TaskOptions, read_tasks, task_of


def read(tmp_path: Path, *lines: object) -> list[object]:
    path = tmp_path / "tasks.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts), encoding="utf-8")
    return list(read_tasks(path, TaskOptions(endpoint="openai:m@http://h/v1")))


def test_a_task_overrules_the_options_of_the_batch(tmp_path: Path) -> None:
    one, two = read(tmp_path, {"ask": "a", "endpoint": "ollama:x"}, {"ask": "a"})
    assert one.options.endpoint == "ollama:x"  # type: ignore[attr-defined]
    assert two.options.endpoint == "openai:m@http://h/v1"  # type: ignore[attr-defined]


def test_no_tools_can_be_chosen_over_those_of_an_agents_file(tmp_path: Path) -> None:
    agent = tmp_path / "drawer.md"
    agent.write_text("---\ntools: [plot]\n---\nDraw.\n", encoding="utf-8")
    own, none = read(
        tmp_path,
        {"ask": "a", "agent": str(agent)},
        {"ask": "a", "agent": str(agent), "tools": ["none"]},
    )
    assert own.options.tools == ["plot"]  # type: ignore[attr-defined]
    assert none.options.tools == []  # type: ignore[attr-defined]


def test_files_are_looked_for_beside_the_tasks(tmp_path: Path) -> None:
    report, picture, page = read(
        tmp_path,
        {"report": "q", "files": ["a.pdf"]},
        {"inspect": "b.png"},
        {"label": "https://example.org/c.png"},
    )
    assert report.files == (str(tmp_path / "a.pdf"),)  # type: ignore[attr-defined]
    assert picture.subject == str(tmp_path / "b.png")  # type: ignore[attr-defined]
    assert page.subject == "https://example.org/c.png"  # type: ignore[attr-defined]


def test_equal_lines_without_an_id_are_tasks_of_their_own(tmp_path: Path) -> None:
    found = read(tmp_path, {"ask": "a"}, {"ask": "a"}, {"ask": "b"})
    assert len({task.id for task in found}) == 3  # type: ignore[attr-defined]
    again = read(tmp_path, {"ask": "b"}, {"ask": "a"}, {"ask": "a"})
    assert {t.id for t in found} == {t.id for t in again}  # type: ignore[attr-defined]


def test_a_changed_task_has_another_key(tmp_path: Path) -> None:
    (one,) = read(tmp_path, {"id": 1, "ask": "a"})
    (two,) = read(tmp_path, {"id": 1, "ask": "b"})
    assert one.id == two.id == "1"  # type: ignore[attr-defined]
    assert one.key != two.key  # type: ignore[attr-defined]
    assert task_of(one.to_dict()) == one  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (['{"ask": "a"}', "{ask"], r"tasks\.jsonl:2"),
        ([{"ask": "a", "report": "b"}], "exactly one of"),
        ([{"id": "x"}], "exactly one of"),
        ([{"ask": "a", "colour": "red"}], "colour"),
        ([{"id": "x", "ask": "a"}, {"id": "x", "ask": "b"}], "twice"),
        ([{"ask": "a", "tools": ["none", "plot"]}], '1: tools: "none" stands alone'),
        (["  "], "no tasks"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, lines: list[object], words: str
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read(tmp_path, *lines)
    assert "\n" not in str(caught.value)
