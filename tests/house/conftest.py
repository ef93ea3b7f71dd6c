"""What the pages of the documentation talk about, as small files."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typst
from PIL import Image

from qwenbelt.testing import ScriptedLLM, ScriptedServer

PAPER = """
#set page(width: 12cm, height: 12cm)
= Output of the mill
Coal grew most. The mean tensile strength of lot A is 412 MPa.
#pagebreak()
= Table
#table(columns: 2, [Year], [Tonnes], [2023], [120], [2024], [150])
"""
DOCUMENTS = ("report", "notes", "annual", "earnings", "manual", "tests")


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file that a page names and does not write itself."""
    folder = tmp_path_factory.mktemp("documents")
    paper = typst.compile(PAPER.encode(), format="pdf")
    for name in DOCUMENTS:
        (folder / f"{name}.pdf").write_bytes(paper)
    (folder / "photos").mkdir()
    for place in ("photos/gate.png", "site.jpg", "photo.jpg"):
        Image.new("RGB", (64, 48), (90, 120, 90)).save(folder / place)
    (folder / "manuals").mkdir()
    (folder / "manuals" / "wrench.txt").write_text("Torque is 40 Nm.\n", encoding="utf-8")
    with contextlib.closing(sqlite3.connect(folder / "shop.db")) as database:
        database.execute("CREATE TABLE fruit (name TEXT, price REAL)")
    problems = [
        {
            "problem": f"A mill makes {n} tons a day. How many tons does it make in {n} weeks?",
            "answer": 7 * n * n,
        }
        for n in (2, 3)
    ]
    lines = "".join(json.dumps(problem) + "\n" for problem in problems)
    (folder / "problems.jsonl").write_text(lines, encoding="utf-8")
    task = {"ask": "What do these files say?", "files": ["manual.pdf"]}
    (folder / "tasks.jsonl").write_text(json.dumps(task) + "\n", encoding="utf-8")
    labels = "labels: {day: the sky is bright, night: the sky is dark}\nvotes: 1\n"
    (folder / "labels.yaml").write_text(labels, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def any_model() -> Iterator[ScriptedServer]:
    """A model that answers whatever it is asked: in words, or that a picture shows nothing."""

    def reply(request: Any) -> dict[str, Any]:
        content = request.messages[-1]["content"]
        seen = isinstance(content, list) and any(part["type"] == "image_url" for part in content)
        if seen and "day" in json.dumps(content):
            return {"answer": '{"label": "day"}'}
        # an answer that claims something and cites nothing would make a report fail
        return {"answer": "[]" if seen else "The files do not tell."}

    llm = ScriptedLLM(model="any")
    llm.turn(reply)
    with ScriptedServer(llm, plays=None) as server:
        yield server
