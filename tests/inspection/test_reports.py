"""Second looks, videos, odd files and evaluations, through the whole command."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from PIL import Image

from qwenbelt.testing import ScriptedServer
from qwenbelt.tools.images.annotate import PictureBox, draw_boxes
from qwenbelt.workflows.inspection import setting
from qwenbelt.workflows.inspection.job import Inspection
from qwenbelt.workflows.inspection.report import write_contact_sheets
from qwenbelt.workflows.inspection.rules import Inspected
from tests.inspection.conftest import (  # type: ignore[import-not-found]
    answer_in,
    paint,
    run,
    sent_picture,
)

Vision = Callable[..., ScriptedServer]


def table_of(report: Path) -> dict[str, Any]:
    entries = json.loads(report.with_suffix(".json").read_text(encoding="utf-8"))
    return {Path(entry["image"]).name: entry for entry in entries}


def text_of(report: Path) -> str:
    pdf = pypdfium2.PdfDocument(report)
    try:
        return "\n".join(page.get_textpage().get_text_range() for page in pdf)
    finally:
        pdf.close()


@pytest.mark.parametrize("closer", ["severe", "unsure", "down"])
def test_a_second_look_zooms_into_doubtful_boxes(
    closer: str, tmp_path: Path, vision: Vision
) -> None:
    paint(tmp_path / "in.png", (800, 600), {"fire": (100, 100, 160, 160)})
    sizes: list[tuple[int, int]] = []

    def turn(request: Any) -> dict[str, str]:
        sizes.append(sent_picture(request).size)
        if len(sizes) > 1 and closer == "down":
            raise ValueError("down")
        grade = "unsure" if len(sizes) == 1 else closer
        whole = {"bbox_2d": [125, 166, 200, 266], "label": "fire", "sub_label": grade}
        return {"answer": json.dumps([whole])}

    out = tmp_path / "r.pdf"
    with vision(turn) as server:
        run(tmp_path / "in.png", server, out, "--second-look")
    (found,) = table_of(out).values()
    assert found["objects"][0]["sub_label"] == ("severe" if closer == "severe" else "unsure")
    assert "second look" in found["notes"][0]
    assert found["objects"][0]["bbox"][:2] == pytest.approx([100, 100], abs=1)
    assert max(sizes[1]) == pytest.approx(448, abs=32)  # the region, enlarged


@pytest.mark.parametrize("form", ["coco", "voc"])
def test_misses_and_wrong_findings_are_shown(form: str, tmp_path: Path, vision: Vision) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    paint(folder / "a.png", (400, 300), {"fire": (40, 30, 120, 120)})
    box = {"fire": (200, 150, 300, 250)}  # elsewhere: one missed, one wrong
    truth = tmp_path / "truth"
    if form == "voc":
        truth.mkdir()
        sides = "".join(
            f"<{n}>{v}</{n}>"
            for n, v in zip(("xmin", "ymin", "xmax", "ymax"), box["fire"], strict=True)
        )
        (truth / "a.xml").write_text(
            "<annotation><filename>a.png</filename><object><name>fire</name>"
            f"<bndbox>{sides}</bndbox></object></annotation>",
            encoding="utf-8",
        )
    else:
        truth = truth.with_suffix(".json")
        coco = {
            "images": [{"id": 1, "file_name": "a.png"}],
            "categories": [{"id": 1, "name": "fire"}],
            "annotations": [{"image_id": 1, "category_id": 1, "bbox": [200, 150, 100, 100]}],
        }
        truth.write_text(json.dumps(coco), encoding="utf-8")
    out = tmp_path / "r.pdf"
    with vision(answer_in("thousand")) as server:
        result = run(folder, server, out, "--truth", str(truth))
    assert "fire: precision 0.000, recall 0.000" in result.output
    text = text_of(out)
    assert "Missed and wrong findings" in text
    assert "missed: fire x 1; wrong: fire x 1" in text
    with Image.open(tmp_path / "r_files" / "misses" / "a.png.jpg") as drawn:
        pixel = drawn.convert("RGB").getpixel((250, 249))
    assert isinstance(pixel, tuple)
    assert pixel[0] > pixel[1] + 60  # the missed box is drawn


def test_the_report_speaks_chinese_and_says_where(tmp_path: Path, vision: Vision) -> None:
    paint(tmp_path / "a.png", (900, 600), {"person": (20, 20, 200, 180)})
    out = tmp_path / "r.pdf"
    with vision(answer_in("thousand")) as server:
        result = run(tmp_path / "a.png", server, out, "--lang", "zh")
    assert "共 1 张图片" in result.output
    text = text_of(out)
    for words in ("安全巡检", "未佩戴安全帽", "左上，占画面 5 %", "有发现的图片"):
        assert words in text


def test_a_video_has_events_with_times(tmp_path: Path, vision: Vision) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="needs the extra vision")
    for number in range(6):
        boxes = {"fire": (40, 40, 120, 120)} if number in (2, 3) else {}
        paint(tmp_path / f"f{number}.png", (320, 240), boxes)
    frames = ["-framerate", "1", "-i", str(tmp_path / "f%d.png"), "-pix_fmt", "yuv420p"]
    command = [ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *frames, str(tmp_path / "v.mp4")]
    subprocess.run(command, check=True, timeout=120, stdin=subprocess.DEVNULL)
    out = tmp_path / "r.pdf"
    with vision(answer_in("thousand")) as server:
        run(tmp_path / "v.mp4", server, out)
    seen = {n: e["time"] for n, e in table_of(out).items() if e["objects"]}
    assert list(seen.values()) == [2.0, 3.0]
    assert "2.0 - 3.0 s" in text_of(out)


def test_labels_do_not_cover_each_other() -> None:
    picture = Image.new("RGB", (400, 300), "white")
    boxes = [PictureBox(100, 100, 200, 200, "label", color) for color in ("red", "blue", "green")]
    marked = draw_boxes(picture, boxes)
    fills = [
        sum(marked.getpixel((x, y)) == color for x in range(0, 400, 2) for y in range(0, 300, 2))
        for color in ((255, 0, 0), (0, 0, 255), (0, 128, 0))
    ]
    assert min(fills) > 40


def test_a_long_inspection_has_several_contact_sheets(tmp_path: Path) -> None:
    name = "a long name of a picture that does not fit below its thumbnail.png"
    paint(tmp_path / "t.jpg", (90, 60), {})
    files = {"thumbnail": "t.jpg"}
    pictures = [Inspected(f"{n}-{name}", n % 2 == 0, files=files) for n in range(125)]
    write_contact_sheets(tmp_path / "sheet.jpg", Inspection(pictures, tmp_path, "m"))
    with Image.open(tmp_path / "sheet.jpg") as first, Image.open(tmp_path / "sheet-2.jpg") as last:
        assert first.width == last.width
        assert first.height > 15 * last.height
    assert not (tmp_path / "sheet-3.jpg").exists()


def test_a_long_report_has_several_volumes(
    tmp_path: Path, vision: Vision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setting, "PICTURES_A_VOLUME", 2)
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(5):
        boxes = {"fire": (10, 10, 90, 90)} if number < 3 else {}
        paint(folder / f"{number}.png", (200, 150), boxes)
    out = tmp_path / "r.pdf"
    with vision(answer_in("thousand")) as server:
        result = run(folder, server, out)
    assert "r-2.pdf" in result.output
    first, second = text_of(out), text_of(tmp_path / "r-2.pdf")
    assert "Further volumes: r-2.pdf" in first
    assert ("1.png" in first, "2.png" in first, "3.png" in first) == (True, False, False)
    assert ("1.png" in second, "2.png" in second, "3.png" in second) == (False, True, True)
