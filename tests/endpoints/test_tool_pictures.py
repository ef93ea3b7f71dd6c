"""Pictures that tools return reach models that read pictures, and no others."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from qwen_agent.llm.schema import ContentItem

from qwenbelt.agents import FnCallAgent
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools.base import Tool


class Shot(Tool):
    name = "shot"
    description = "Takes a picture."
    read_only = True

    def __init__(self, *pictures: Path) -> None:
        self.pictures = pictures
        super().__init__()

    def call(self, params: Any, **kwargs: Any) -> Any:
        return [ContentItem(text="a window"), *(ContentItem(image=str(p)) for p in self.pictures)]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (3000, 2000), "red").save(tmp_path / "p.png")
    return tmp_path / "p.png"


def played(picture: Path, model: str, **cfg: Any) -> tuple[str, list[list[dict[str, Any]]]]:
    scenario = Scenario(model=model).turn(calls=[("shot", {}), ("shot", {})]).answer("red")
    # parts in tool messages are what some endpoints take and strict ones refuse
    with ScriptedServer(scenario, strict=cfg.get("tool_pictures") != "tool") as server:
        llm = {**server.llm, "model": model, "generate_cfg": cfg}
        agent = FnCallAgent([Shot(picture)], llm=llm)
        answer = agent.run_nonstream([{"role": "user", "content": "What is there?"}])
        return answer[-1]["content"], [e.request.messages for e in server.requests]


def images(messages: list[dict[str, Any]]) -> list[str]:
    parts = [p for m in messages if isinstance(m["content"], list) for p in m["content"]]
    return [p["image_url"]["url"] for p in parts if p["type"] == "image_url"]


def size(url: str) -> tuple[int, int]:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).size


@pytest.mark.parametrize(
    ("model", "factor"), [("qwen3-vl-8b-instruct", 32), ("Qwen2.5-VL-7B-Instruct", 28)]
)
def test_a_vision_model_sees_them_in_its_own_size(picture, model, factor) -> None:
    answer, (_, second) = played(picture, model)
    assert answer == "red"
    found = images(second)
    assert len(found) == 2
    assert second[-1]["role"] == "user"
    wide, high = size(found[0])
    assert wide % factor == high % factor == 0
    assert wide * high <= 1280 * factor**2


def test_as_parts_of_the_tools_own_message(picture) -> None:
    _, (_, second) = played(picture, "qwen3-vl-plus", tool_pictures="tool")
    assert [m["role"] for m in second[-2:]] == ["tool", "tool"]
    assert len(images(second)) == 2


@pytest.mark.parametrize(
    ("model", "cfg"), [("qwen3-8b", {}), ("qwen3-vl-plus", {"tool_pictures": "off"})]
)
def test_a_text_model_gets_the_names(picture, model, cfg) -> None:
    _, (_, second) = played(picture, model, **cfg)
    assert images(second) == []
    assert "[image: p.png]" in json.dumps(second)


def test_written_calls_have_them_beside_the_results(picture) -> None:
    _, (_, second) = played(picture, "qwen3-vl-plus", tool_format="nous")
    assert len(images(second)) == 2
    assert second[-1]["content"][0]["text"].startswith("<tool_response>")


def test_an_odd_picture_ends_nothing(tmp_path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG nothing")
    answer, (_, second) = played(tmp_path / "bad.png", "qwen3-vl-plus")
    assert answer == "red"
    assert images(second) == []
