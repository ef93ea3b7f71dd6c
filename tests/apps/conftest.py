"""What the tests of the faces share."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
# on an idle machine it is seconds; half a minute where pages of a document are read by OCR
PATIENCE = 240_000  # milliseconds
START_SECONDS = 180  # a server needs three on an idle machine
SCENARIO = """
conversations:
  - say: Hello
    turns:
      - think: I look three times.
        text: "Let me look:"
        calls:
          - look: {word: first, seconds: 0.4}
          - look: {word: second, seconds: 0.5}
          - draw: {}
      - text: "It **is** so: ![a drawing](drawing.png)"
      - say: Wait
        calls: [{look: {seconds: 30, word: long}}]
  - say: Weigh it
    turns:
      - calls: [{look: {seconds: 30, word: first}}]
      - text: Never said.
  - say: Write it out
    turns:
      - text: |
          ## Result

          Energy $E = mc^2$ costs $5 here[^1], \\(x_1\\) there.

          \\[ \\frac{a}{b} \\]

          | plant | electricity in megawatt hours | remark | more | and more |
          |---|---:|---|---|---|
          | Adalbertshausen | 120,000.5 | none | unremarkable | unremarkable |

          - [x] read
          - [ ] computed

          ```python
          def heat(mass):  # MJ
              return mass * 29.3
          ```

          [^1]: A note.
  - say: Send it
    turns:
      - calls: [{mail: {word: dear}}]
      - text: Sent.
  - say: Attack
    turns:
      - text: |
          <script>document.title = "owned"</script><img src=x onerror="document.title='owned'">

          ![leak](https://evil.example/leak.png) [click](javascript:document.title='owned')
          [bank](https://evil.example/) [up](../../../etc/passwd)
          ![svg](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+) [x](vbscript:x)
        calls: [{look: {word: '<img src=x onerror=document.title=1>'}}]
      - text: Done.
  - say: Find it
    turns:
      - calls: [{find: {}}]
      - text: "Wind blows over the hills [2], and coal burns [1]. Nothing says so [7]."
  - say: Query it
    turns:
      - calls: [{query: {}}]
      - text: Two plants.
  - say: Chart it
    turns:
      - calls:
          - plot:
              {kind: line, labels: [2024-01, 2024-03, 2024-12], unit: MW,
               series: {north: [1, 2, 4], south: [3, 2, 1]}}
          - plot:
              {kind: range, labels: [coal, lignite], horizontal: true,
               series: {low: [19, 10], high: [29, 15]}}
      - text: Drawn.
  - say: Order it
    turns:
      - calls: [{survey: {}}]
      - text: Ordered.
      - say: Sign in
        calls: [{survey: {url: "https://login.example/start?x=1"}}]
      - text: Signed in.
  - say: Show the page
    turns:
      - calls: [{page: {}}]
      - text: Look.
  - say: Sketch it
    turns:
      - text: |
          ```mermaid
          graph LR
            A["<img src=x onerror=document.title='owned'>"] --> B[coal]
          ```

          ```mermaid
          graph LR
            A[[[ -->
          ```

          ```svg
          <svg xmlns="http://www.w3.org/2000/svg" width="60" height="20">
          <rect width="60" height="20" fill="teal"/><script>document.title = "owned"</script></svg>
          ```
  - say: Stumble
    turns:
      - faults: [{status: 503, retry_after: 0.4}]
        text: It went well in the end.
  - say: Fail
    turns:
      - faults: [{status: 401}, {status: 401}]
        text: Never said.
"""


# pytest-timeout ends this process at once; what it started must not outlive it
_DIES_WITH_PARENT = [
    "-c",
    "import ctypes, os, signal, sys; ctypes.CDLL(None).prctl(1, signal.SIGTERM); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])",
]
if sys.platform != "linux":
    _DIES_WITH_PARENT = []


@dataclass
class Program:
    """A server in a process of its own.

    Attributes:
        url: the address that it told, without a slash at its end.
    """

    process: subprocess.Popen[str]
    url: str


@contextmanager
def _program(*words: str | Path, **environment: str) -> Iterator[Program]:
    """Runs Python with these words until the block ends, however it ends."""
    process = subprocess.Popen(
        [sys.executable, *_DIES_WITH_PARENT, *words],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "QWENBELT_LANG": "en", **environment},
    )
    try:
        yield Program(process, _address(process))
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


def _address(process: subprocess.Popen[str]) -> str:
    """Reads the address that a server prints when it listens."""
    assert process.stdout is not None
    too_long = threading.Timer(START_SECONDS, process.kill)
    too_long.start()
    words = process.stdout.readline().split()
    too_long.cancel()
    found = next((word for word in words if word.startswith("http")), "")
    assert found, f"no address within {START_SECONDS} s: {words}"
    return found.rstrip(";").rstrip("/")


@pytest.fixture(scope="session")
def running_program() -> Callable[..., AbstractContextManager[Program]]:
    return _program


@dataclass
class ChatServer:
    """A running chat server.

    Attributes:
        folder: where it keeps conversations: `gui/sessions/SESSION/`.
    """

    url: str
    folder: Path


@pytest.fixture(scope="session")
def chat_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatServer]:
    """One server for all tests; each of them is another user of it."""
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("needs the extra gui")
    folder = tmp_path_factory.mktemp("gui")
    (folder / "s.yaml").write_text(SCENARIO, encoding="utf-8")
    with _program(Path(__file__).with_name("gui_program.py"), folder / "s.yaml", folder) as server:
        yield ChatServer(server.url, folder)


@contextmanager
def _example(name: str, folder: Path) -> Iterator[str]:
    """Runs an example that serves something, with `s.yaml` in a folder; yields its address."""
    file = Path(__file__).resolve().parents[2] / "examples" / name
    scenario = f"scripted:{folder / 's.yaml'}"
    with _program(file, scenario, "0", QWENBELT_WORKSPACE=str(folder)) as server:
        yield server.url


@pytest.fixture
def running_example() -> Callable[[str, Path], AbstractContextManager[str]]:
    return _example


class Screen:
    """One person's browser page; every request that leaves this machine is noted."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.url = url
        self.outside: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self._note(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _note(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:")):
            self.outside.append(url)

    def open(self) -> None:
        self.page.goto(self.url)
        self.page.wait_for_selector("#qb-welcome:not([hidden])")

    def ask(self, text: str) -> None:
        box = self.page.locator("#qb-message textarea")
        box.fill(text)
        box.press("Enter")

    def wait(self, selector: str, count: int = 1) -> Any:
        from playwright.sync_api import expect

        found = self.page.locator(selector)
        expect(found).to_have_count(count, timeout=PATIENCE)
        return found


@pytest.fixture
def chromium_program() -> str:
    if not CHROMIUM:
        pytest.skip("needs a Chromium browser")
    return str(CHROMIUM)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if not CHROMIUM:
        pytest.skip("needs a Chromium browser")
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    with sync_playwright() as started:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        arguments += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        browser = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def contexts(chromium: Any) -> dict[str, Any]:
    """Browser contexts by their settings, used again so that the page comes from the cache."""
    return {}


@pytest.fixture
def screen(
    chromium: Any, contexts: dict[str, Any], chat_server: Any, request: pytest.FixtureRequest
) -> Iterator[Screen]:
    settings = getattr(request, "param", {})
    context = contexts.get(str(settings))
    if context is None:
        context = chromium.new_context(locale=settings.get("locale", "en-US"), **_size(settings))
        context.set_default_timeout(PATIENCE)
        contexts[str(settings)] = context
    context.clear_cookies()  # another person
    page = context.new_page()
    found = Screen(page, chat_server.url)
    yield found
    pictures = os.environ.get("QWENBELT_TEST_PICTURES")
    if pictures:
        page.screenshot(path=f"{pictures}/{request.node.name}.png")
    page.close()
    assert found.outside == []
    assert found.errors == []


def _size(settings: dict[str, Any]) -> dict[str, Any]:
    return {"viewport": {"width": settings.get("width", 1280), "height": 900}}
