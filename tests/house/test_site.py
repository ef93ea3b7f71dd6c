"""The documentation is built without a warning, a broken link or a request to another host."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urljoin

import pytest

ROOT = Path(__file__).resolve().parents[2]
# two builds: seconds of an idle machine, minutes of a busy one
pytestmark = pytest.mark.timeout(900)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("zensical") is None:
        pytest.skip("needs the extra docs")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "docs.py", folder],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r": \d\d+ pages, \d{4,} links, 0 faults", done.stdout), done.stdout
    return folder / "site"


def test_the_reference_comes_from_docstrings_and_from_help(site: Path) -> None:
    agents = (site / "reference" / "qwenbelt.agents.html").read_text(encoding="utf-8")
    assert 'id="qwenbelt.agents.FnCallAgent"' in agents
    commands = (site / "reference" / "command_line.html").read_text(encoding="utf-8")
    assert "qwenbelt mcp serve sqlite" in commands
    assert "--db-path" in commands


def test_a_page_without_a_chinese_version_says_so(site: Path) -> None:
    chinese = site / "zh"
    names = {path.name for path in site.glob("*.html")}
    assert names == {path.name for path in chinese.glob("*.html")}
    for path in chinese.glob("*.html"):
        translated = (ROOT / "docs" / "zh" / path.with_suffix(".md").name).exists()
        if path.stem != "404":
            assert ("本页暂无中文版" in path.read_text(encoding="utf-8")) != translated, path.name


def test_measurements_stand_on_the_page_of_performance(site: Path) -> None:
    page = (site / "performance.html").read_text(encoding="utf-8")
    headings = re.findall(
        r"^## (.+)$", (ROOT / "benchmarks" / "RESULTS.md").read_text("utf-8"), re.M
    )
    assert headings
    assert all(heading in page for heading in headings)


def test_models_find_the_pages_as_they_were_written(site: Path) -> None:
    listed = re.findall(r"\]\(([^)]+\.md)\)", (site / "llms.txt").read_text(encoding="utf-8"))
    assert len(listed) > 30
    assert [name for name in listed if not (site / name).is_file()] == []
    assert (site / "zh" / "index.md").is_file()


def test_each_version_keeps_its_documentation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / ".ci"))
    docs = importlib.import_module("docs")
    for name in ("0.9.0", "0.10.0"):
        (tmp_path / "site").mkdir(exist_ok=True)
        (tmp_path / "site" / "index.html").write_text(name, encoding="utf-8")
        docs.publish(tmp_path / "site", tmp_path / "published", name)
    published = tmp_path / "published"
    assert (published / "0.9.0" / "index.html").read_text(encoding="utf-8") == "0.9.0"
    listed = json.loads((published / "versions.json").read_text(encoding="utf-8"))
    assert [row["version"] for row in listed] == ["0.10.0", "0.9.0"]
    assert "url=0.10.0/index.html" in (published / "index.html").read_text(encoding="utf-8")
    chinese = json.loads((published / "0.9.0" / "versions.json").read_text(encoding="utf-8"))
    assert [row["version"] for row in chinese] == ["../0.10.0/zh", "../0.9.0/zh"]
    assert [row["aliases"] for row in chinese] == [[], ["zh"]]
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", docs.version())


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a line for each."""

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def address(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Two versions side by side, as they are published."""
    monkeypatch.syspath_prepend(str(ROOT / ".ci"))
    docs = importlib.import_module("docs")
    for name in ("0.1.0", "0.2.0"):
        docs.publish(site, tmp_path / "published", name)
    handler = functools.partial(Quiet, directory=str(tmp_path / "published"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/0.2.0"
        server.shutdown()


@pytest.mark.chromium
def test_a_browser_asks_nobody_else_and_finds_chinese(address: str) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("needs a Chromium browser")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for name in (
            "index.html",
            "mcp.html",
            "reference/qwenbelt.agents.html",
            "zh/concepts.html",
        ):
            page.goto(f"{address}/{name}")
            current = page.locator(".md-version__current")
            current.wait_for(timeout=30_000)
            assert current.inner_text().split() == ["0.2.0"]
            href = page.locator(".md-version__link", has_text="0.1.0").get_attribute("href")
            home = "zh/" if name.startswith("zh/") else ""
            assert urljoin(page.url, href) == f"{address[:-5]}0.1.0/{home}"
        page.keyboard.press("/")
        page.keyboard.type("调度器")
        page.get_by_role("link", name=re.compile("概念")).first.wait_for(timeout=30_000)
        browser.close()
    outside = [url for url in asked if not url.startswith((address[:-5], "data:", "blob:"))]
    assert asked
    assert not outside
