from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from qwenbelt.core.errors import InputError, ToolError
from qwenbelt.tools.base import ToolContext, result_items
from qwenbelt.tools.images.picture import open_picture
from qwenbelt.tools.images.tool import ImageAnnotate, ImageZoom, Ocr


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "plant.png"
    Image.new("RGB", (200, 100), "gray").save(path)
    return path


def context(path: Path) -> ToolContext:
    return ToolContext(folder=path.parent / "out", files={path.name: path})


def image_of(result: Any) -> Image.Image:
    paths = [item.value for item in result_items(result) if item.kind == "image"]
    with Image.open(paths[0]) as opened:
        return opened.copy()


def test_boxes_are_drawn_on_a_copy(picture: Path) -> None:
    before = picture.read_bytes()
    box = {"bbox": [20, 40, 120, 90], "label": "安全帽 helmet", "color": "green"}
    result = ImageAnnotate().call({"image": "plant.png", "boxes": [box]}, context=context(picture))
    drawn = image_of(result)
    assert drawn.size == (200, 100)
    assert drawn.getpixel((120, 70)) == (0, 128, 0)
    assert drawn.getpixel((70, 70)) == (128, 128, 128)
    assert picture.read_bytes() == before


def test_only_pictures_of_the_conversation_are_opened(picture: Path) -> None:
    for name in ("/etc/passwd", "../plant.png", "other.png", str(picture)):
        with pytest.raises(ToolError, match="no picture"):
            ImageAnnotate().call({"image": name, "boxes": []}, context=context(picture))


def test_boxes_outside_are_cut(picture: Path) -> None:
    box = {"bbox": [-50, -50, 900, 900], "label": "x"}
    result = ImageAnnotate().call({"image": "plant.png", "boxes": [box]}, context=context(picture))
    assert image_of(result).size == (200, 100)


def test_a_region_is_enlarged(picture: Path) -> None:
    call = {"image": "plant.png", "bbox": [10, 10, 60, 30], "scale": 3}
    assert image_of(ImageZoom().call(call, context=context(picture))).size == (150, 60)
    call["bbox"] = [500, 500, 600, 600]
    with pytest.raises(ToolError, match="200x100"):
        ImageZoom().call(call, context=context(picture))


def test_wrong_arguments_are_one_line(picture: Path) -> None:
    for box in ({"bbox": [1, 2, 3]}, {"bbox": [1, 2, 3, 4], "color": "nocolour"}):
        with pytest.raises(ToolError, match="Wrong arguments"):
            ImageAnnotate().call({"image": "plant.png", "boxes": [box]}, context=context(picture))


def test_odd_pictures_are_upright_and_rgb(tmp_path: Path) -> None:
    turned = Image.new("RGB", (40, 20), "red")
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    assert open_picture(tmp_path / "turned.jpg").size == (20, 40)
    Image.new("CMYK", (8, 8)).save(tmp_path / "cmyk.jpg")
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert open_picture(tmp_path / "cmyk.jpg").mode == "RGB"
    assert open_picture(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255)


def test_what_is_no_picture_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "fake.png").write_bytes(b"hello")
    good = tmp_path / "good.png"
    Image.new("RGB", (64, 64)).save(good)
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:60])
    for name in ("fake.png", "cut.png", "none.png"):
        with pytest.raises(InputError, match=name):
            open_picture(tmp_path / name)


@pytest.mark.skipif(importlib.util.find_spec("rapidocr") is None, reason="the ocr extra is missing")
def test_text_is_read_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "scan.png"
    scan = Image.new("RGB", (400, 120), "white")
    ImageDraw.Draw(scan).text((60, 30), "STRENGTH 412", fill="black", font_size=40)
    scan.save(path)
    lines = str(Ocr().call({"image": "scan.png"}, context=context(path)))
    assert "412" in lines
    left = float(lines.split("[")[1].split(",")[0])
    assert 40 < left < 80
