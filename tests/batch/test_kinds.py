"""Every kind of task, in one batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from qwenbelt.testing import ScriptedLLM, ScriptedServer
from qwenbelt.workflows.batch.job import batch
from qwenbelt.workflows.batch.tasks import TaskOptions
from tests.batch.conftest import ROOT, lines_of  # type: ignore[import-not-found]

FIRE = [{"bbox_2d": [100, 200, 500, 600], "label": "fire", "sub_label": "severe"}]


def reply(request: Any) -> dict[str, Any]:
    text = request.user
    if request.images and '"fire"' in text:
        return {"answer": json.dumps(FIRE)}
    if request.images:
        return {"answer": '{"reason": "it is red", "label": "red"}'}
    if "How much" in str(request.messages):
        return {"answer": "It is 4,711 units."}
    if any(m["role"] == "tool" for m in request.messages):
        return {"answer": "The file does not tell this."}
    if request.body.get("tools"):
        return {"calls": [{"document_search": {"query": "energy"}}]}
    return {"answer": "yes"}


def test_each_kind_of_task_has_its_result(tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), (250, 0, 0)).save(tmp_path / "a.png")
    (tmp_path / "labels.yaml").write_text("labels: [red, blue]", encoding="utf-8")
    demo = next((ROOT / "workflows" / "demo").glob("*.pdf"))
    tasks = [
        {"id": "ask", "ask": "Is it so?"},
        {"id": "report", "report": "What does it say about energy?", "files": [str(demo)]},
        {"id": "invented", "report": "How much energy is it?", "files": [str(demo)]},
        {"id": "inspect", "inspect": "a.png"},
        {"id": "label", "label": "a.png", "labels": "labels.yaml"},
        {"id": "gone", "inspect": "none.png"},
        {"id": "unlabelled", "label": "a.png"},
    ]
    path = tmp_path / "tasks.jsonl"
    path.write_text("\n".join(map(json.dumps, tasks)), encoding="utf-8")
    llm = ScriptedLLM(model="qwen3-vl")
    llm.turn(reply).turn(reply)
    with ScriptedServer(llm, plays=None) as server:
        options = TaskOptions(endpoint=f"openai:qwen3-vl@{server.url}")
        made = batch(path, tmp_path / "out", options=options)
    lines = {line["id"]: line for line in lines_of(tmp_path / "out")}
    assert made.failed == 3, lines
    assert lines["ask"]["result"]["answer"] == "yes"
    assert Path(lines["report"]["result"]["pdf"]).is_file()
    assert "does not stand on the pages" in lines["invented"]["error"]
    assert lines["inspect"]["result"]["objects"][0]["bbox"] == [30, 40, 150, 120]
    assert Path(lines["inspect"]["result"]["annotated"]).is_file()
    assert lines["label"]["result"]["labels"] == ["red"]
    assert "none.png" in lines["gone"]["error"]
    assert "--labels" in lines["unlabelled"]["error"]
