"""What the tests of inspections share: a vision endpoint that really finds colours."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw

from qwenbelt.apps.commands.inspect import inspect
from qwenbelt.testing import ScriptedLLM, ScriptedServer

COLORS = {"fire": (220, 20, 20), "smoke": (20, 20, 220), "person": (20, 200, 20)}
GRADES = {"fire": "severe", "smoke": "", "person": "not wearing"}
Box = tuple[int, int, int, int]


def paint(path: Path, size: tuple[int, int], boxes: dict[str, Box]) -> Path:
    """Makes a picture with one plain rectangle a class."""
    picture = Image.new("RGB", size, (128, 128, 128))
    for label, (x1, y1, x2, y2) in boxes.items():
        ImageDraw.Draw(picture).rectangle((x1, y1, x2 - 1, y2 - 1), fill=COLORS[label])
    picture.save(path)
    return path


def sent_picture(request: Any) -> Image.Image:
    """Returns the picture of a request."""
    parts = request.messages[-1]["content"]
    url = next(p["image_url"]["url"] for p in parts if p["type"] == "image_url")
    return Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1])))


def seen(picture: Image.Image) -> dict[str, Box]:
    """Returns the box of each class's colour, in pixels of the picture as it was sent."""
    found = {}
    for label, color in COLORS.items():
        channel = color.index(max(color))
        bands = picture.convert("RGB").split()
        others = [bands[i] for i in range(3) if i != channel]
        mask = bands[channel].point(lambda v: 255 if v > 165 else 0)
        for band in others:
            low = band.point(lambda v: 255 if v < 80 else 0)
            mask = Image.composite(mask, Image.new("L", mask.size), low)
        box = mask.getbbox()
        if box:
            found[label] = box
    return found


def answer_in(convention: str) -> Callable[[Any], dict[str, str]]:
    """Returns a turn that answers in a coordinate convention."""

    def turn(request: Any) -> dict[str, str]:
        picture = sent_picture(request)
        frame = {"resized": picture.size, "thousand": (1000, 1000), "unit": (1, 1)}[convention]
        entries = []
        for label, box in seen(picture).items():
            scaled = [v * frame[i % 2] / picture.size[i % 2] for i, v in enumerate(box)]
            if convention != "unit":
                scaled = [round(v) for v in scaled]
            entries.append({"bbox_2d": scaled, "label": label, "sub_label": GRADES[label]})
        return {"answer": "```json\n" + json.dumps(entries) + "\n```"}

    return turn


@pytest.fixture
def vision() -> Callable[..., ScriptedServer]:
    """Returns a function that makes a server answering every picture by a turn function."""

    def make(turn: Callable[[Any], Any], model: str = "qwen3-vl") -> ScriptedServer:
        llm = ScriptedLLM(model=model)
        llm.turn(turn)
        return ScriptedServer(llm, plays=None)

    return make


def run(folder: Path, server: ScriptedServer, out: Path, *options: str) -> Any:
    spec = f"openai:{server.scenario.model}@{server.url}"
    command = [str(folder), "--out", str(out), "-e", spec, "--lang", "en", *options]
    return CliRunner().invoke(inspect, command, catch_exceptions=False)
