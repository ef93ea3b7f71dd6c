"""What is an alarm, a warning or fine, and how the report shows it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from qwenbelt.testing import ScriptedServer
from qwenbelt.workflows.inspection.events import moments, video_events
from qwenbelt.workflows.inspection.job import Inspection
from qwenbelt.workflows.inspection.marking import SEVERITY_COLORS, crop_of
from qwenbelt.workflows.inspection.report import write_html
from qwenbelt.workflows.inspection.rules import SAFETY, ClassRule, Found, Inspected, Rules
from tests.inspection.conftest import answer_in, paint, run  # type: ignore[import-not-found]


def test_severity_is_by_grade() -> None:
    person = SAFETY.classes["person"]
    assert [person.severity(grade) for grade in person.grades] == ["fine", "alarm", "warning"]
    own = ClassRule(grades=["ok", "dirty", "broken"], alarms=["broken"], warnings=["dirty"])
    assert [own.severity(grade) for grade in own.grades] == ["fine", "warning", "alarm"]
    found = [
        Found((0, 0, 50, 50), "person", "not wearing"),
        Found((0, 0, 10, 10), "fire", "slight"),
        Found((0, 0, 90, 90), "fire", "unsure"),
        Found((0, 0, 10, 10), "fire", "severe"),
    ]
    worst = sorted(found, key=SAFETY.worst_first)
    assert [f.sub_label for f in worst] == ["severe", "slight", "not wearing", "unsure"]


def test_what_is_only_shown_asks_no_picture_again() -> None:
    table = SAFETY.model_dump()
    table["classes"]["fire"] |= {"words": {"severe": "Run!"}, "warnings": ["slight"]}
    assert Rules.model_validate(table).fingerprint == SAFETY.fingerprint
    table["classes"]["fire"]["grades"] = ["none"]
    assert Rules.model_validate(table).fingerprint != SAFETY.fingerprint


def test_an_alarm_is_red_whatever_the_colour_of_its_class() -> None:
    picture = Image.new("RGB", (300, 300), "grey")
    crop = crop_of(picture, Found((100, 100, 200, 200), "person", "not wearing"), SAFETY)
    colors = {color for _, color in crop.getcolors(100_000) or []}
    assert tuple(bytes.fromhex(SEVERITY_COLORS["alarm"][1:])) in colors
    assert crop.size == (360, 360)


def test_the_page_has_filters_and_everything_inside(
    tmp_path: Path, vision: Callable[..., ScriptedServer]
) -> None:
    paint(tmp_path / "a.png", (400, 300), {"fire": (40, 30, 120, 120)})
    paint(tmp_path / "b<i>.png", (400, 300), {"smoke": (200, 30, 320, 120)})
    paint(tmp_path / "c.png", (400, 300), {})
    with vision(answer_in("thousand")) as server:
        result = run(tmp_path, server, tmp_path / "out" / "r.pdf")
    assert "qwenbelt review" in result.output
    page = (tmp_path / "out" / "r.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "b<i>" not in page
    assert "A severe fire" in page
    for button, kind in (("alarm", "s-alarm"), ("class-0", "class-0"), ("class-1", "class-1")):
        assert f"body:has(#f-{button}:checked) .picture:not(.{kind})" in page
        assert f'id="f-{button}"' in page
    sources = re.findall(r'src="(.{5})', page)
    assert set(sources) == {"data:"}
    assert len(list((tmp_path / "out" / "r_files" / "crops").iterdir())) == 2


def test_an_event_is_shown_by_moments_spread_over_it(tmp_path: Path) -> None:
    fire = (Found((10, 10, 50, 50), "fire", "severe"),)
    Image.new("RGB", (60, 60)).save(tmp_path / "t.jpg")
    files = dict.fromkeys(("thumbnail", "copy", "shown", "annotated"), "t.jpg")
    frames = [
        Inspected(f"v.mp4@{n}.00s", True, "", fire, (), (60, 60), float(n), files)
        for n in range(20)
    ]
    (event,) = video_events(frames)
    assert [frame.time for frame in moments(event, frames)] == [0, 4, 8, 11, 15, 19]
    write_html(tmp_path / "v.html", Inspection(frames, tmp_path, "m"), SAFETY, "en")
    assert "0.0 - 19.0 s" in (tmp_path / "v.html").read_text(encoding="utf-8")
