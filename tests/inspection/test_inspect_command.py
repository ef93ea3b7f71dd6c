"""Inspection through a scripted vision endpoint that really finds the colours of pictures."""

from __future__ import annotations

import csv
import io
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from click.testing import CliRunner
from PIL import Image

from qwenbelt.apps.commands.inspect import inspect
from qwenbelt.testing import ScriptedServer
from tests.inspection.conftest import (  # type: ignore[import-not-found]
    answer_in,
    paint,
    run,
    sent_picture,
)

TRUTH = {
    "a.png": ((1920, 1080), {"fire": (400, 300, 800, 700), "person": (1200, 100, 1500, 900)}),
    "b.png": ((640, 480), {"smoke": (20, 30, 300, 200)}),
    "c.png": ((300, 900), {}),
}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, (size, boxes) in TRUTH.items():
        paint(folder / name, size, boxes)  # type: ignore[arg-type]
    return folder


@pytest.mark.parametrize(
    ("convention", "model"),
    [("thousand", "qwen3-vl-8b"), ("resized", "qwen2.5-vl-7b"), ("unit", "other")],
)
def test_boxes_are_right_in_every_convention(
    convention: str,
    model: str,
    pictures: Path,
    tmp_path: Path,
    vision: Callable[..., ScriptedServer],
) -> None:
    options = ["--coordinates", "unit"] if convention == "unit" else []
    out = tmp_path / "out" / "report.pdf"
    with vision(answer_in(convention), model) as server:
        result = run(pictures, server, out, "--json", str(tmp_path / "r.json"), *options)
    assert result.exit_code == 0, result.output
    found = {Path(p["image"]).name: p for p in json.loads((tmp_path / "r.json").read_text())}
    for name, (size, boxes) in TRUTH.items():
        assert found[name]["ok"]
        assert len(found[name]["objects"]) == len(boxes)
        for entry in found[name]["objects"]:
            true = boxes[entry["label"]]
            # thousandths of a 1920 pixel side are 2 pixels wide; JPEG blurs edges by one
            slack = 2.0 if convention == "resized" else 0.001 * max(size) + 1.5
            assert entry["bbox"] == pytest.approx(true, abs=slack)


def test_the_report_and_its_companions(
    pictures: Path, tmp_path: Path, vision: Callable[..., ScriptedServer]
) -> None:
    before = {p.name: p.read_bytes() for p in pictures.iterdir()}
    (pictures / "broken.png").write_bytes(b"no picture")
    out = tmp_path / "out" / "report.pdf"
    with vision(answer_in("thousand")) as server:
        result = run(pictures, server, out)
    assert result.exit_code == 0
    assert "4 pictures, 3 objects, 1 not inspected" in result.output
    pdf = pypdfium2.PdfDocument(out)
    try:
        text = "\n".join(page.get_textpage().get_text_range() for page in pdf)
    finally:
        pdf.close()
    for words in ("Safety inspection", "a.png", "not wearing", "broken.png", "not a picture"):
        assert words in text
    table = out.with_suffix(".csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(table)))
    assert sorted({row["label"] for row in rows}) == ["", "fire", "person", "smoke"]
    with Image.open(out.parent / "report_files" / "annotated" / "a.png.jpg") as marked:
        assert marked.size == (1920, 1080)
    assert {p.name: p.read_bytes() for p in pictures.iterdir() if p.name in before} == before


def test_a_bad_answer_never_ends_the_run(
    pictures: Path, tmp_path: Path, vision: Callable[..., ScriptedServer]
) -> None:
    good = answer_in("thousand")

    def turn(request: Any) -> dict[str, str]:
        return {"answer": "I refuse."} if "640" in str(sizes(request)) else good(request)

    def sizes(request: Any) -> tuple[int, int]:
        return sent_picture(request).size

    with vision(turn) as server:
        result = run(pictures, server, tmp_path / "r.pdf")
    assert result.exit_code == 0
    table = {Path(p["image"]).name: p for p in json.loads((tmp_path / "r.json").read_text())}
    assert not table["b.png"]["ok"]
    assert "not a list" in table["b.png"]["error"]
    assert table["a.png"]["ok"]


def test_a_second_run_asks_only_about_what_is_new(
    pictures: Path, tmp_path: Path, vision: Callable[..., ScriptedServer]
) -> None:
    with vision(answer_in("thousand")) as server:
        run(pictures, server, tmp_path / "r.pdf")
        assert len(server.requests) == 3
        paint(pictures / "d.png", (200, 200), {"fire": (10, 10, 90, 90)})
        result = run(pictures, server, tmp_path / "r.pdf")
        assert len(server.requests) == 4
    assert "4 pictures, 4 objects" in result.output


def test_ground_truth_gives_precision_and_recall(
    pictures: Path, tmp_path: Path, vision: Callable[..., ScriptedServer]
) -> None:
    coco = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "fire"}, {"id": 2, "name": "person"}],
        "annotations": [
            {"image_id": 1, "category_id": 1, "bbox": [400, 300, 400, 400]},
            {"image_id": 1, "category_id": 1, "bbox": [0, 0, 40, 40]},
            {"image_id": 1, "category_id": 2, "bbox": [1200, 100, 300, 800]},
        ],
    }
    (tmp_path / "truth.json").write_text(json.dumps(coco), encoding="utf-8")
    with vision(answer_in("thousand")) as server:
        result = run(pictures, server, tmp_path / "r.pdf", "--truth", str(tmp_path / "truth.json"))
    assert "fire: precision 1.000, recall 0.500" in result.output
    assert "person: precision 1.000, recall 1.000" in result.output


def test_an_unreachable_endpoint_is_one_line(pictures: Path, tmp_path: Path) -> None:
    from qwenbelt.core.errors import EndpointError

    command = [
        str(pictures),
        "--out",
        str(tmp_path / "r.pdf"),
        "-e",
        "openai:m@http://127.0.0.1:9/v1",
    ]
    result = CliRunner().invoke(inspect, command)
    assert isinstance(result.exception, EndpointError)


def test_the_example(
    pictures: Path,
    tmp_path: Path,
    vision: Callable[..., ScriptedServer],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = Path(__file__).resolve().parents[2] / "examples" / "inspect_pictures.py"
    main = runpy.run_path(str(path))["main"]
    with vision(answer_in("thousand")) as server:
        main(str(tmp_path / "out"), f"openai:qwen3-vl@{server.url}", str(pictures))
    said = capsys.readouterr().out
    assert "fire at (399" in said
    assert "c.png nothing" in said
    assert (tmp_path / "out" / "report.pdf").read_bytes().startswith(b"%PDF")
