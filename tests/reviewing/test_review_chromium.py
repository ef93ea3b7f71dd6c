"""The review page in a real browser: keys, buttons, drawing, labels, and what is written."""

from __future__ import annotations

import csv
import io
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from PIL import Image

from qwenbelt.apps.review.server import review_app
from qwenbelt.workflows.inspection.rules import SAFETY, Found, Inspected
from qwenbelt.workflows.labelling.asking import Labelled
from qwenbelt.workflows.labelling.export import write_all
from qwenbelt.workflows.labelling.labels import Labels
from qwenbelt.workflows.reviewing import open_review
from qwenbelt.workflows.reviewing.opening import keep_for_review

playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra browser")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = [
    pytest.mark.chromium,
    pytest.mark.timeout(600),
    pytest.mark.skipif(PROGRAM is None, reason="needs a Chromium browser"),
]
PATIENCE = 120_000  # milliseconds
FIRE = Found((10, 10, 60, 60), "fire", "severe", "<b>flames</b>")
PERSON = Found((100, 20, 140, 120), "person", "not wearing")
UNSURE = Found((60, 80, 90, 140), "person", "unsure")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        made = started.chromium.launch(executable_path=PROGRAM, args=arguments)
        yield made
        made.close()


@contextmanager
def opened(browser: Any, target: Path, language: Any) -> Iterator[Any]:
    """The page of a review, on a server of its own; no script of it fails."""
    app = review_app(open_review(target), language, "secret")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(PATIENCE)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        try:
            page.goto(f"http://127.0.0.1:{listening.getsockname()[1]}/secret/")
            page.wait_for_selector("aside h2")
            yield page
        finally:
            page.close()
            server.should_exit = True
            thread.join(30)
    assert errors == []


def rows_of(folder: Path) -> list[dict[str, str]]:
    text = (folder / "review.csv").read_text("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def drag(page: Any, first: tuple[float, float], last: tuple[float, float]) -> None:
    """Draws from one place of the picture to another, in parts of its width and height."""
    area = page.locator(".sheet").bounding_box()
    places = [
        (area["x"] + x * area["width"], area["y"] + y * area["height"]) for x, y in (first, last)
    ]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=3)
    page.mouse.up()


def test_findings_are_confirmed_corrected_rejected_and_drawn(browser: Any, tmp_path: Path) -> None:
    place = tmp_path / "report_files"
    (place / "copies").mkdir(parents=True)
    pictures = []
    for name, objects in (("a.png", (FIRE, PERSON, UNSURE)), ("b.png", ())):
        Image.new("RGB", (200, 150), "grey").save(place / "copies" / f"{name}.jpg")
        files = {"copy": f"copies/{name}.jpg", "thumbnail": f"copies/{name}.jpg"}
        pictures.append(Inspected(name, True, "", objects, (), (200, 150), None, files))
    keep_for_review(place, pictures, SAFETY)
    expect = playwright.expect
    expect.set_options(timeout=PATIENCE)
    with opened(browser, place, "en") as page:
        cards = page.locator(".card")
        verdicts = page.locator(".card .verdict")
        expect(cards).to_have_count(3)
        expect(cards.first).to_contain_text("<b>flames</b>")  # a model's words are text
        page.keyboard.press("y")
        expect(verdicts.nth(0)).to_have_class("verdict confirmed")
        page.keyboard.press("x")  # the next open one is chosen
        expect(verdicts.nth(1)).to_have_class("verdict rejected")
        page.keyboard.press("u")
        expect(verdicts.nth(1)).to_have_class("verdict ")
        cards.nth(1).locator("select").nth(1).select_option("wearing")
        expect(verdicts.nth(1)).to_have_class("verdict corrected")
        cards.nth(2).get_by_role("button", name="Reject").click()
        expect(verdicts.nth(2)).to_have_class("verdict rejected")
        page.keyboard.press("d")
        drag(page, (0.6, 0.1), (0.9, 0.5))
        expect(cards).to_have_count(4)
        expect(verdicts.nth(3)).to_have_class("verdict added")
        page.keyboard.press("b")
        drag(page, (0.5, 0.2), (0.9, 0.6))
        expect(cards.nth(3)).to_contain_text("100, 30, 180, 90")
        page.keyboard.press("ArrowRight")
        expect(page.locator("aside h2")).to_have_text("2. b.png")
        page.keyboard.press("y")  # nothing is there, as the model says
        expect(page.locator(".done-mark")).to_be_visible()
        expect(page.locator(".figures")).to_contain_text(
            "1 confirmed, 1 corrected, 1 rejected, 1 added · agreement 40% of 5, "
            "Cohen's kappa 0.25, precision 67%, recall 67%"
        )
    rows = rows_of(place)
    assert [(row["image"], row["verdict"]) for row in rows] == [
        ("a.png", "confirmed"),
        ("a.png", "corrected"),
        ("a.png", "rejected"),
        ("a.png", "added"),
        ("b.png", "confirmed"),
    ]
    assert rows[1]["final_sub_label"] == "wearing"
    drawn = [float(rows[3][f"final_{edge}"]) for edge in ("x1", "y1", "x2", "y2")]
    assert drawn == pytest.approx([100, 30, 180, 90], abs=1)
    with opened(browser, place, "zh") as page:  # what was decided is there again
        expect(page.locator(".card .verdict").first).to_have_text("已确认")


def test_labels_are_chosen_by_keys_and_the_next_one_comes(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "thumbnails").mkdir()
    labels = Labels(labels={"ok": None, "empty": None, "missing": None})
    pictures = [
        Labelled(f"{n}.png", True, "", ("ok",), "why", 0.5, ((("ok",), 2),), doubtful=n == 2)
        for n in range(3)
    ]
    write_all(tmp_path, pictures, labels, "en", {})
    for n in range(3):
        Image.new("RGB", (20, 20)).save(tmp_path / "thumbnails" / f"{n}.png.jpg")
    expect = playwright.expect
    expect.set_options(timeout=PATIENCE)
    with opened(browser, tmp_path, "en") as page:
        title = page.locator("aside h2")
        expect(title).to_have_text("1. 2.png")  # the doubtful one first
        page.keyboard.press("3")
        expect(title).to_have_text("2. 0.png")
        page.keyboard.press("y")
        expect(title).to_have_text("3. 1.png")
        page.keyboard.press("x")
        expect(page.locator(".done-mark")).to_be_visible()
        expect(page.locator(".figures")).to_contain_text("1 confirmed")
    final = {row["image"]: row["final"] for row in rows_of(tmp_path)}
    assert final == {"2.png": "missing", "0.png": "ok", "1.png": ""}
