"""Reviews of inspections and labels: decisions, review.csv, agreement, and what comes of them."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient

from qwenbelt.apps.commands.review import review as review_command
from qwenbelt.apps.review.server import review_app
from qwenbelt.apps.terminal_pictures import picture_codes, picture_protocol
from qwenbelt.core.errors import InputError
from qwenbelt.workflows.inspection.job import Inspection
from qwenbelt.workflows.inspection.rules import SAFETY, Found, Inspected
from qwenbelt.workflows.labelling.asking import Labelled
from qwenbelt.workflows.labelling.export import read_review, write_all
from qwenbelt.workflows.labelling.labels import Labels
from qwenbelt.workflows.reviewing import open_review
from qwenbelt.workflows.reviewing.agreement import cohen_kappa
from qwenbelt.workflows.reviewing.opening import keep_for_review, reviewed_inspection

FIRE = Found((10, 10, 60, 60), "fire", "severe", "flames")
PERSON = Found((100, 20, 140, 120), "person", "not wearing")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "report_files"
    (place / "copies").mkdir(parents=True)
    pictures = []
    for name, objects in (("=a.png", (FIRE, PERSON)), ("b.png", ())):
        Image.new("RGB", (200, 150), "grey").save(place / "copies" / f"{name}.jpg")
        files = {"copy": f"copies/{name}.jpg", "thumbnail": f"copies/{name}.jpg"}
        pictures.append(Inspected(name, True, "", objects, (), (200, 150), None, files))
    pictures.append(Inspected("broken.png", False, "no picture"))
    keep_for_review(place, pictures, SAFETY)
    return place


def decisions(*verdicts: str, **second: Any) -> dict[str, Any]:
    objects = [
        {**FIRE.to_dict(), "verdict": verdicts[0]},
        {**PERSON.to_dict(), "verdict": verdicts[1]},
    ]
    objects[1] |= second
    return {"objects": objects}


def test_decisions_are_kept_counted_and_taken_up_by_the_next_report(folder: Path) -> None:
    review = open_review(folder.with_name("report.pdf"))
    assert review.kind == "inspection"
    assert len(review) == 2
    table = decisions("confirmed", "corrected", sub_label="wearing")
    table["objects"].append({"bbox": [150, 10, 210, 40], "label": "smoke", "verdict": "added"})
    review.decide(0, table)
    review.decide(1, {"objects": [], "empty": True})
    rows = list(csv.DictReader(io.StringIO((folder / "review.csv").read_text("utf-8-sig"))))
    assert [row["verdict"] for row in rows] == ["confirmed", "corrected", "added", "confirmed"]
    assert rows[0]["image"] == "'=a.png"  # no spreadsheet takes it for a formula
    assert rows[1]["final_sub_label"] == "wearing"
    assert rows[2]["final_x2"] == "200.00"  # cut to the picture
    again = open_review(folder)
    assert again.item(0) == review.item(0)
    found = again.agreement().to_dict()
    assert [found[k] for k in ("confirmed", "corrected", "added")] == [1, 1, 1]
    assert found["agreement"] == 0.5
    assert found["recall"] == pytest.approx(2 / 3, abs=1e-3)
    assert found["overlap"] == 1.0
    done = Inspection(again.pictures, folder, "m")  # type: ignore[union-attr, arg-type]
    now, sentence = reviewed_inspection(done, SAFETY, "en")
    labels = [(o.label, o.sub_label) for o in now.pictures[0].objects]
    assert labels == [("fire", "severe"), ("person", "wearing"), ("smoke", "")]
    assert "2 of 2 pictures" in sentence
    assert (folder / now.pictures[0].files["shown"]).is_file()


def test_a_rejected_finding_is_gone_and_what_is_undecided_stays(folder: Path) -> None:
    review = open_review(folder)
    review.decide(0, decisions("rejected", ""))
    assert not review.item(0)["done"]
    done = Inspection(review.pictures, folder, "m")  # type: ignore[union-attr, arg-type]
    now, _ = reviewed_inspection(done, SAFETY, "zh")
    assert [o.label for o in now.pictures[0].objects] == ["person"]


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"objects": []},
        decisions("added", ""),
        decisions("confirmed", "corrected", label="ghost"),
        decisions("confirmed", "corrected", sub_label="severe"),
        decisions("confirmed", "corrected", bbox=[1, 2, 3]),
        decisions("confirmed", "corrected", bbox=[1, 2, float("nan"), 4]),
        decisions("confirmed", "corrected", bbox=[500, 500, 600, 600]),
        {**decisions("", ""), "objects": [*decisions("", "")["objects"], "no object"]},
    ],
)
def test_what_is_no_decision_is_refused_and_nothing_written(
    folder: Path, table: dict[str, Any]
) -> None:
    review = open_review(folder)
    with pytest.raises(InputError):
        review.decide(0, table)
    assert not (folder / "review.csv").exists()


def test_a_review_passes_over_what_the_model_no_longer_says(folder: Path) -> None:
    open_review(folder).decide(0, decisions("confirmed", "rejected"))
    table = json.loads((folder / "found.json").read_text())
    table[0]["objects"][0]["sub_label"] = "slight"
    (folder / "found.json").write_text(json.dumps(table))
    verdicts = [entry["verdict"] for entry in open_review(folder).item(0)["objects"]]
    assert verdicts == ["", "rejected"]


def test_the_page_needs_its_secret_and_this_machine(folder: Path) -> None:
    app = review_app(open_review(folder), "zh", "secret")
    with TestClient(app, base_url="http://127.0.0.1") as client:
        page = client.get("/secret/")
        assert "人工复核" in page.text
        assert "script-src 'self'" in page.headers["content-security-policy"]
        state = client.get("/secret/state").json()
        assert state["items"][0]["objects"][0]["severity"] == "alarm"
        assert client.get("/secret/picture/0").headers["content-type"] == "image/jpeg"
        for path in ("/", "/state", "/secret/picture/2", "/secret/server.py", "/wrong/state"):
            assert client.get(path).status_code == 404
        answer = client.post("/secret/decide/0", json=decisions("confirmed", "rejected")).json()
        assert answer["item"]["done"]
        assert answer["agreement"]["precision"] == 0.5
        assert client.post("/secret/decide/0", json={"objects": 3}).status_code == 400
        assert client.post("/secret/decide/0", content=b"x" * 2_000_000).status_code == 413
        elsewhere = client.get("/secret/state", headers={"host": "evil.example"})
        assert elsewhere.status_code == 400


def test_keys_in_the_terminal(folder: Path) -> None:
    typed = "yx+1\n10 10 90 90\n1\n"
    result = CliRunner().invoke(
        review_command, [str(folder), "--terminal", "--lang", "en"], input=typed + "y"
    )
    assert result.exit_code == 0, result.output
    assert "A severe fire" in result.output
    assert "1 confirmed, 0 corrected, 1 rejected, 1 added" in result.output
    figures = CliRunner().invoke(review_command, [str(folder), "--json"])
    assert json.loads(figures.output)["rejected"] == 1
    nothing = CliRunner().invoke(review_command, [str(folder.parent)])
    assert isinstance(nothing.exception, InputError)


def labelled(name: str, label: str, doubtful: bool) -> Labelled:
    return Labelled(name, True, "", (label,), "why", 0.5, (((label,), 2),), doubtful=doubtful)


def test_labels_are_reviewed_doubtful_ones_first(tmp_path: Path) -> None:
    labels = Labels(labels={"ok": None, "empty": None, "missing": None})
    pictures = [labelled(f"{n}.png", "ok", n == 2) for n in range(3)]
    write_all(tmp_path, pictures, labels, "en", {})
    (tmp_path / "thumbnails").mkdir()
    for n in range(3):
        Image.new("RGB", (20, 20)).save(tmp_path / "thumbnails" / f"{n}.png.jpg")
    review = open_review(tmp_path)
    assert [review.item(n)["image"] for n in range(3)] == ["2.png", "0.png", "1.png"]
    review.decide(0, {"final": ["missing"]})  # no vote was for it
    review.decide(1, {"final": ["ok"]})
    review.decide(2, {"final": []})
    with pytest.raises(InputError):
        review.decide(0, {"final": ["ok", "empty"]})
    with pytest.raises(InputError):
        review.decide(0, {"final": ["ghost"]})
    final = read_review(tmp_path, labels)
    assert final == {"2.png": ("missing",), "0.png": ("ok",), "1.png": ()}
    write_all(tmp_path, pictures, labels, "en", final)
    trained = (tmp_path / "train.jsonl").read_text(encoding="utf-8")
    assert "1.png" not in trained  # a person says that none fits
    assert open_review(tmp_path).agreement().to_dict()["agreement"] == pytest.approx(
        1 / 3, abs=1e-3
    )


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), max_size=40))
def test_kappa_is_that_of_scikit_learn_or_unknown(pairs: list[tuple[str, str]]) -> None:
    kappa = cohen_kappa(pairs)
    if kappa is None:
        assert len({name for pair in pairs for name in pair}) <= 1
        return
    assert -1 <= kappa <= 1
    metrics = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn")
    first, second = zip(*pairs, strict=True)
    assert kappa == pytest.approx(metrics.cohen_kappa_score(first, second))


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "xterm-256color"}, "none"),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/x"}, "none"),
        ({"TERM": "xterm", "QWENBELT_IMAGES": "sixel"}, "sixel"),
        ({}, "none"),
    ],
)
def test_the_terminal_is_known_by_its_environment(
    environment: dict[str, str], protocol: str
) -> None:
    assert picture_protocol(environment) == protocol


def test_pictures_are_written_as_each_terminal_takes_them(tmp_path: Path) -> None:
    noise = Image.frombytes("RGB", (90, 70), random.Random(1).randbytes(90 * 70 * 3))
    noise.save(tmp_path / "a.png")
    kitty = picture_codes(tmp_path / "a.png", "kitty")
    assert kitty.startswith("\x1b_Ga=T,f=100,q=2,m=1;")
    assert kitty.endswith("\x1b\\")
    assert max(map(len, kitty.split("\x1b_G"))) < 4200
    assert picture_codes(tmp_path / "a.png", "iterm").startswith("\x1b]1337;File=inline=1;")
    Image.new("RGB", (20, 12), "red").save(tmp_path / "red.png")
    sixel = picture_codes(tmp_path / "red.png", "sixel")
    assert "#0;2;100;0;0#0!20~$-#0!20~$-" in sixel
    assert picture_codes(tmp_path / "a.png", "none") == ""
