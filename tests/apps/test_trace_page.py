"""`qwenbelt trace show --html`: a page that stands alone, whatever the trace says."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.apps import cli
from qwenbelt.core.events import (
    Done,
    Event,
    ModelFinished,
    ModelStarted,
    RunStarted,
    TextDelta,
    ThinkingDelta,
    ToolCallReady,
    ToolFinished,
    ToolStarted,
    Usage,
)
from qwenbelt.core.trace import TraceWriter

EVIL = '"><script>document.title="owned"</script><img src=x onerror="document.title=\'owned\'">'
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c"
    "6360606060000000050001a5f645400000000049454e44ae426082"
)


def events(word: str = "tower") -> list[Event]:
    question = [{"role": "system", "content": word}, {"role": "user", "content": f"How? {word}"}]
    picture = f"![a](https://evil.example/{word}.png) [b](javascript:alert(1)) ![c](chart.png)"
    arguments = '{"query": "' + word.replace('"', "'") + '"}'
    return [
        RunStarted("r", f"agent {word}", f"model {word}", "http://x/v1", ("look",), question),
        ModelStarted(1, 1.0),
        ThinkingDelta(f"I think of {word}."),
        ToolCallReady("a", f"look {word}", arguments, 1.5),
        ToolStarted("a", f"look {word}", 1.5),
        ModelFinished(1, 1.0, 1.2, 1.6, "tool_calls"),
        Usage(1, 100, 20, cost=0.25, currency="CNY"),
        ToolFinished("a", f"look {word}", 1.5, 1.5, 2.5, True, False, f"found {word}"),
        ModelStarted(2, 2.5),
        TextDelta(f"The answer: {word}\n\n{picture}"),
        ModelFinished(2, 2.5, 2.6, 3.0, "stop"),
        Usage(2, 200, 30, cost=0.5, currency="CNY"),
        Done("answer", "The answer", "", []),
    ]


def page_of(folder: Path, *parts: list[Event]) -> str:
    with TraceWriter(folder / "trace.jsonl") as writer:
        for event in [event for part in parts for event in part]:
            writer.write(event)
    words = ["trace", "show", str(folder / "trace.jsonl"), "--html", str(folder / "out.html")]
    assert cli.run(words) == 0
    return (folder / "out.html").read_text(encoding="utf-8")


class Tags(HTMLParser):
    """Notes the elements and attributes that a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs


def test_the_page_tells_times_costs_and_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QWENBELT_LANG", "en")
    (tmp_path / "chart.png").write_bytes(PNG)
    page = page_of(tmp_path, events())
    said = ("agent tower · model tower", "How? tower", "I think of tower.", "found tower")
    assert "@media (prefers-color-scheme: dark)" in page
    for words in (*said, "1. model asks", "2. model writes"):
        assert words in page
    rows = re.findall(r"<tr><td>(.*?)</td></tr>", page)
    assert rows == [
        "1</td><td>0.60 s</td><td>0.20 s</td><td>100</td><td>20</td><td>0.2500",
        "2</td><td>0.50 s</td><td>0.10 s</td><td>200</td><td>30</td><td>0.5000",
        "All</td><td>2.00 s</td><td></td><td>300</td><td>50</td><td>0.7500",
    ]
    assert page.count('class="qb-lane-name"') == 4, "an axis, two replies, one call"
    assert 'src="data:image/png;base64,' in page


def test_every_run_of_a_trace_and_chinese(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENBELT_LANG", "zh")
    page = page_of(tmp_path, events("first"), events("second"))
    assert page.startswith('<!doctype html><html lang="zh">')
    assert page.count('<section class="trace-run">') == 2
    assert "found first" in page.split("</section>")[0]
    for words in ("对话内容", "系统消息", "输入 token", "合计"):
        assert words in page


def test_hostile_content_is_only_shown(tmp_path: Path) -> None:
    seen = Tags(page_of(tmp_path, events(EVIL)))
    assert not seen.tags & {"script", "iframe", "object", "link", "base", "form"}
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    outside = [v for name, v in seen.attributes if name == "src" and not str(v).startswith("data:")]
    assert outside == []
    assert not [v for name, v in seen.attributes if name == "href" and "javascript" in str(v)]
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'; img-src data:") in (
        seen.attributes
    )


def test_pictures_elsewhere_are_not_taken_in(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "chart.png").write_bytes(PNG)
    assert "data:image" not in page_of(tmp_path / "inner", events())


def test_a_file_that_is_no_trace_is_one_line(tmp_path: Path, capsys: Any) -> None:
    for body in ('{"event": "run_started", "messages": [1]}', '{"event": "tool_finished"}'):
        (tmp_path / "x.jsonl").write_text(body, encoding="utf-8")
        words = ["trace", "show", str(tmp_path / "x.jsonl"), "--html", str(tmp_path / "x.html")]
        assert cli.run(words) == 1
        assert "not a trace of a run" in capsys.readouterr().err
        assert not (tmp_path / "x.html").exists()


@pytest.mark.chromium
def test_a_browser_shows_it_and_runs_nothing(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("needs a Chromium browser")
    page_of(tmp_path, events(EVIL))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/p"]
    done = subprocess.run(
        [browser, *options, "--dump-dom", (tmp_path / "out.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert "<title>owned</title>" not in done.stdout
    assert "found &quot;" in done.stdout or 'found "&gt;' in done.stdout


def test_the_question_comes_first_and_two_runs_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("QWENBELT_LANG", "en")
    long = "Passages. " * 100
    page = page_of(tmp_path, events(f"{long}\n\nWhat grew most?"))
    assert "<h1>What grew most?</h1>" in page
    assert "What the end waited for" in page
    link = re.search(r'<a href="#([\w-]+)" class="qb-lane "', page)
    assert link, "a lane leads to the card of its call"
    assert f'id="{link[1]}"' in page
    (tmp_path / "b").mkdir()
    page_of(tmp_path / "b", events("other"))
    one, two = tmp_path / "trace.jsonl", tmp_path / "b" / "trace.jsonl"
    out = tmp_path / "both.html"
    capsys.readouterr()
    assert cli.run(["trace", "show", str(one), "--compare", str(two), "--html", str(out)]) == 0
    both = out.read_text(encoding="utf-8")
    assert "Compared" in both
    assert both.count('<section class="trace-run">') == 2
    assert cli.run(["trace", "show", str(one), "--compare", str(two)]) == 0
    assert "Cost: 0.75 CNY → 0.75 CNY" in capsys.readouterr().out
    (tmp_path / "no.jsonl").write_text("[]", encoding="utf-8")
    assert cli.run(["trace", "show", str(one), "--compare", str(tmp_path / "no.jsonl")]) == 1
