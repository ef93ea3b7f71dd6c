"""Labelling through a scripted vision endpoint that looks at the colour of the picture."""

from __future__ import annotations

import base64
import csv
import io
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from qwenbelt.apps.commands.label import label
from qwenbelt.core.errors import ConfigError, InputError
from qwenbelt.testing import ScriptedLLM, ScriptedServer
from qwenbelt.workflows.labelling.asking import read_vote
from qwenbelt.workflows.labelling.labels import Labels, load_labels

YAML = """
question: What is the state of the lamp?
labels:
  red lamp: it is red
  green lamp: it is green
  off:
votes: 3
"""
COLORS = {"red": (220, 10, 10), "green": (10, 200, 10), "grey": (128, 128, 128)}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, color in COLORS.items():
        Image.new("RGB", (300, 200), color).save(folder / f"{name}.png")
    (tmp_path / "labels.yaml").write_text(YAML, encoding="utf-8")
    return folder


def color_of(request: Any) -> str:
    parts = request.messages[-1]["content"]
    url = next(p["image_url"]["url"] for p in parts if p["type"] == "image_url")
    picture = Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1]))).convert("RGB")
    red, green, _ = picture.resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    return "red" if red > 180 else "green" if green > 160 else "grey"


class Votes:
    """Answers rightly about red and green, and never twice the same about grey."""

    def __init__(self) -> None:
        self.grey = 0

    def __call__(self, request: Any) -> dict[str, str]:
        color = color_of(request)
        if color == "grey":
            self.grey += 1
            return {"answer": ['{"label": "off"}', '{"label": "red lamp"}', "Hm."][self.grey % 3]}
        answer = {"reason": f"it is {color}", "label": f"{color.upper()}_lamp"}
        return {"answer": f"```json\n{json.dumps(answer)}\n```"}


def run(pictures: Path, reply: Callable[[Any], Any], *words: str) -> tuple[Any, int]:
    llm = ScriptedLLM(model="qwen3-vl")
    llm.turn(reply)
    with ScriptedServer(llm, plays=None) as server:
        command = [str(pictures), "--labels", str(pictures.parent / "labels.yaml"), "--out"]
        command += [str(pictures.parent / "out"), "-e", f"openai:qwen3-vl@{server.url}", *words]
        done = CliRunner().invoke(label, [*command, "--lang", "en"], catch_exceptions=False)
        return done, len(server.requests)


def test_votes_agreement_review_and_training_data(pictures: Path) -> None:
    out = pictures.parent / "out"
    done, asked = run(pictures, Votes())
    assert done.exit_code == 0
    assert asked == 9
    assert "3 pictures: 2 labelled, 1 to review, 0 not labelled" in done.output
    text = (out / "labels.jsonl").read_text(encoding="utf-8")
    table = {Path(t["image"]).stem: t for t in map(json.loads, text.splitlines())}
    assert table["red"]["labels"] == ["red lamp"]
    assert table["red"]["agreement"] == 1
    assert table["red"]["reason"] == "it is red"
    assert table["grey"]["doubtful"]
    assert table["grey"]["unread"] == 1
    page = (out / "review.html").read_text(encoding="utf-8")
    assert "grey.png" in page
    assert "red.png" not in page
    assert (out / "thumbnails" / "grey.png.jpg").is_file()
    lines = [json.loads(s) for s in (out / "train.jsonl").read_text().splitlines()]
    assert {Path(line["images"][0]).stem for line in lines} == {"red", "green"}
    assert lines[0]["messages"][0]["content"].startswith("<image>")


def test_what_a_person_decides_goes_into_the_training_data(pictures: Path) -> None:
    out = pictures.parent / "out"
    run(pictures, Votes())
    rows = list(csv.DictReader(io.StringIO((out / "review.csv").read_text("utf-8-sig"))))
    assert [Path(row["image"]).stem for row in rows] == ["grey"]
    with (out / "review.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerow({**rows[0], "final": "off"})
    _, asked = run(pictures, Votes())
    assert asked == 0  # everything was kept
    lines = (out / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3
    assert "final" in (out / "review.csv").read_text(encoding="utf-8-sig")
    text = (out / "review.csv").read_text(encoding="utf-8-sig").replace("off", "of")
    (out / "review.csv").write_text(text.replace("of\n", "of\n"), encoding="utf-8")
    with pytest.raises(InputError, match="none of the labels"):
        run(pictures, Votes())


def test_decisions_about_other_pictures_are_kept(pictures: Path) -> None:
    review = pictures.parent / "out" / "review.csv"
    review.parent.mkdir()
    review.write_text(
        "image,label,agreement,reason,final\nelsewhere.png,,,,off\n"
        f"{pictures / 'red.png'},,,,off\n",
        encoding="utf-8",
    )
    run(pictures, Votes())
    with review.open(encoding="utf-8-sig", newline="") as file:
        final = {Path(row["image"]).stem: row["final"] for row in csv.DictReader(file)}
    assert final == {"grey": "", "red": "off", "elsewhere": "off"}
    text = (review.parent / "train.jsonl").read_text(encoding="utf-8")
    assert '\\"label\\": \\"off\\"' in text


def test_examples_and_hints_are_shown_to_the_model(pictures: Path) -> None:
    more = "\nexamples:\n  - {image: in/red.png, label: red lamp, reason: it is so}\n"
    (pictures.parent / "labels.yaml").write_text(YAML + more, encoding="utf-8")
    seen: list[list[dict[str, Any]]] = []

    def reply(request: Any) -> dict[str, str]:
        seen.append(request.messages)
        return {"answer": '{"label": "off"}'}

    run(pictures, reply, "--votes", "2")
    assert all(len(messages) == 3 for messages in seen)
    assert json.loads(seen[0][1]["content"]) == {"reason": "it is so", "label": "red lamp"}
    questions = {str(messages[-1]["content"][-1]["text"]) for messages in seen}
    assert len(questions) == 2  # the labels stand in another order at the second vote


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ('{"label": "off"}', ("off",)),
        ('{"reason": "x", "label": "Red Lamp"', ("red lamp",)),
        ("It is the green lamp.", ("green lamp",)),
    ],
)
def test_answers_are_read_leniently(text: str, labels: tuple[str, ...]) -> None:
    known = Labels(labels={"red lamp": None, "green lamp": None, "off": None})
    assert read_vote(text, known).labels == labels


@pytest.mark.parametrize("text", ["", "[]", '{"label": "blue"}', "red lamp or green lamp"])
def test_what_names_no_label_is_refused(text: str) -> None:
    known = Labels(labels={"red lamp": None, "green lamp": None, "off": None})
    with pytest.raises(InputError, match="no label"):
        read_vote(text, known)


def test_several_labels() -> None:
    known = Labels(labels={"a": None, "b": None}, multiple=True)
    assert read_vote('{"label": ["b", "a"]}', known).labels == ("a", "b")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("labels: [a]", "labels"),
        ("labels: [a, b]\nvotes: 0", "votes"),
        ("labels: [a, b]\nexamples: [{image: x.png, label: c}]", "unknown label c"),
        ("labels: [", "YAML"),
    ],
)
def test_bad_label_files(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words) as caught:
        load_labels(path)
    assert "\n" not in str(caught.value)


def test_the_example(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(__file__).resolve().parents[2] / "examples" / "label_pictures.py"
    llm = ScriptedLLM(model="qwen3-vl")
    llm.turn(lambda request: {"answer": '{"reason": "bright", "label": "day"}'})
    with ScriptedServer(llm, plays=None) as server:
        out = str(pictures.parent / "out")
        main = runpy.run_path(str(path))["main"]
        main(out, f"openai:qwen3-vl@{server.url}", str(pictures))
    assert "red.png day 100% bright" in capsys.readouterr().out
