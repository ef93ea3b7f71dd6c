"""Typed answers in a batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.apps import cli
from qwenbelt.core.errors import InputError
from qwenbelt.testing import ScriptedLLM, ScriptedServer
from qwenbelt.workflows.batch.tasks import read_tasks
from tests.batch.conftest import lines_of  # type: ignore[import-not-found]

SCHEMA = {
    "type": "object",
    "properties": {"mm": {"type": "integer"}},
    "required": ["mm"],
    "additionalProperties": False,
}
OTHER = {**SCHEMA, "properties": {"mm": {"type": "integer"}, "kg": {"type": "number"}}}


def reply(request: Any) -> dict[str, Any]:
    return {"answer": {"mm": 4}}


def test_answers_fit_the_schema_of_the_batch_or_of_their_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "size.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    tasks = [{"id": "a", "ask": "How long?"}, {"id": "b", "ask": "And this?", "answer": OTHER}]
    path = tmp_path / "tasks.jsonl"
    path.write_text("\n".join(map(json.dumps, tasks)), encoding="utf-8")
    llm = ScriptedLLM(model="m")
    llm.turn(reply)
    with ScriptedServer(llm, plays=None) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        words = [str(path), "--out", str(tmp_path / "out"), "-e", f"openai:m@{server.url}"]
        assert cli.run(["batch", *words, "--answer", str(tmp_path / "size.json")]) == 0
        shapes = [exchange.request.body["response_format"] for exchange in server.requests]
    lines = {line["id"]: line["result"] for line in lines_of(tmp_path / "out")}
    assert lines["a"]["value"] == lines["b"]["value"] == {"mm": 4}
    names = [set(shape["json_schema"]["schema"]["properties"]) for shape in shapes]
    assert sorted(map(len, names)) == [1, 2]


def test_a_schema_that_is_none_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text(json.dumps({"ask": "a", "answer": {"type": "no such"}}), encoding="utf-8")
    with pytest.raises(InputError, match=r"tasks\.jsonl:1: answer: is no JSON schema"):
        read_tasks(path)
    path.write_text(json.dumps({"ask": "a", "answer": "gone.json"}), encoding="utf-8")
    with pytest.raises(InputError, match=r"gone\.json"):
        read_tasks(path)
