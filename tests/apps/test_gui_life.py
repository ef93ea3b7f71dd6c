"""The whole life of a conversation in a real browser, over the real command and the real tools."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(900)]
playwright = pytest.importorskip("playwright.sync_api")
psutil = pytest.importorskip("psutil")
pytest.importorskip("gradio")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
ROOT = Path(__file__).resolve().parents[2]
PDF = ROOT / "workflows" / "demo" / "eia-923-instructions.pdf"
PICTURES = os.environ.get("QWENBELT_TEST_PICTURES", "")
# on an idle machine it is seconds; half a minute where pages of a document are read by OCR
PATIENCE = 240_000  # milliseconds
SCENARIO = r"""
conversations:
  - say: What does it say of heat content?
    turns:
      - think: Three things side by side.
        text: I look in two places and compute.
        calls:
          - document_search: {query: heat content of fuels in MMBtu, top_k: 3}
          - document_search: {query: "sulfur, ash and moisture of coal", top_k: 3}
          - code_interpreter: {code: "import time; time.sleep(1.5); x = 41 + 1; print(x)"}
      - answer: >-
          Every purchase counts: "report the actual (not contractual) average Btu content"
          [eia-923-instructions.pdf p.7]. In all, 42 values.
      - say: Remember the plant.
        calls:
          - memory_create_entities:
              entities: [{name: plant, entityType: place, observations: [big]}]
      - answer: I remember the plant.
      - say: Compute for long.
        text: This takes long.
        calls:
          - code_interpreter: {code: "n = 0\nwhile True: n += 1"}
      - say: Is the kernel there?
        calls:
          - code_interpreter: {code: "x = 6 * 7; print(x)"}
      - answer: "It is there, x is 42."
  - say: Tell me a long story.
    turns:
      - answer: "WORDS"
        timing: {tokens_per_second: 40}
        wire: {chunk: 12}
  - say: A short one.
    turns:
      - answer: "There was **one** fox."
""".replace("WORDS", "There was a fox, and it ran on and on. " * 40)


class Chat:
    """The real command, what it does on the network, and what its kernels do."""

    def __init__(self, process: Any, url: str) -> None:
        self.process = process
        self.url = url
        self.outside: set[str] = set()
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        """Notes every socket of the server and its children that leads off this machine."""
        while not self._over.wait(0.05):
            for process in self._family():
                try:
                    for socket in process.net_connections("inet"):
                        if socket.raddr and not _loopback(socket.raddr.ip):
                            self.outside.add(f"{process.name()} -> {socket.raddr.ip}")
                except psutil.Error:
                    continue

    def _family(self) -> list[Any]:
        try:
            server = psutil.Process(self.process.pid)
            return [server, *server.children(recursive=True)]
        except psutil.Error:
            return []

    def busy(self, seconds: float = 0.5) -> float:
        """Returns how much of a processor the server's children use."""

        def used() -> float:
            times = 0.0
            for child in self._family()[1:]:
                try:
                    times += sum(child.cpu_times()[:2])
                except psutil.Error:
                    continue
            return times

        before = used()
        time.sleep(seconds)
        return max(0.0, used() - before) / seconds

    def close(self) -> None:
        """Ends it as Ctrl-C does."""
        self._over.set()
        self._watcher.join(30)
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)


def _loopback(address: str) -> bool:
    return address.startswith(("127.", "::ffff:127.")) or address == "::1"


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory, running_program: Any) -> Iterator[Chat]:
    if not CHROMIUM:
        pytest.skip("needs a Chromium browser")
    folder = tmp_path_factory.mktemp("life")
    (folder / "chat.yaml").write_text(SCENARIO, encoding="utf-8")
    tools = ("document_search", "code_interpreter", "memory_create_entities")
    words = ["-c", "from qwenbelt.apps.cli import main; main()", "gui", "--port", "0"]
    words += ["-e", f"scripted:{folder / 'chat.yaml'}"]
    words += [word for name in tools for word in ("-t", name)]
    with running_program(*words, QWENBELT_WORKSPACE=str(folder)) as program:
        started = Chat(program.process, program.url)
        yield started
        started.close()
        assert started.outside == set()


class Person:
    """Somebody at a browser; every request of the page is noted."""

    def __init__(self, browser: Any, url: str, **settings: Any) -> None:
        size = settings.pop("viewport", {"width": 1280, "height": 900})
        self.context = browser.new_context(viewport=size, locale="en-US", **settings)
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.url = url
        self.outside: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self._note(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(url)
        self.page.wait_for_selector("#qb-welcome:not([hidden])")

    def _note(self, address: str) -> None:
        if not address.startswith((self.url, "data:", "blob:")):
            self.outside.append(address)

    def ask(self, text: str) -> None:
        box = self.page.locator("#qb-message textarea")
        box.fill(text)
        box.press("Enter")

    def wait(self, selector: str, count: int = 1) -> Any:
        found = self.page.locator(selector)
        playwright.expect(found).to_have_count(count, timeout=PATIENCE)
        return found

    def picture(self, name: str) -> None:
        if PICTURES:
            self.page.screenshot(path=f"{PICTURES}/{name}.png")

    def leave(self) -> None:
        self.context.close()
        assert self.outside == []
        assert self.errors == []


def attach_and_ask(person: Person) -> None:
    person.page.set_input_files("#qb-message input[type=file]", PDF)
    person.page.wait_for_selector("#qb-message .thumbnails, #qb-message [aria-label*=emove]")
    person.picture("1-attached")
    person.ask("What does it say of heat content?")


def bars(person: Person) -> list[list[float]]:
    found: list[list[float]] = person.page.locator(".qb-bar.done").evaluate_all(
        "bars => bars.map(bar => [bar.offsetLeft, bar.offsetLeft + bar.offsetWidth])"
    )
    return found


def test_the_whole_life_of_a_conversation(chat: Chat, chromium: Any, tmp_path: Path) -> None:
    person = Person(chromium, chat.url)
    page = person.page
    attach_and_ask(person)
    page.wait_for_selector(".qb-bar.running")
    person.picture("2-lanes-grow")
    person.wait(".qb-footer")
    person.wait(".qb-card.done", 3)
    lanes = bars(person)
    assert max(start for start, _ in lanes) < min(end for _, end in lanes), "three lanes overlap"
    person.picture("3-answered")

    page.locator(".qb-text .qb-cite").click()
    picture = person.wait("#qb-panel .qb-page-box img")
    page.wait_for_function("document.querySelector('.qb-page-box img').naturalWidth > 0")
    assert "stand on this page" in person.wait(".qb-panel-note").inner_text()
    assert "boxes=%5B%5B" in picture.get_attribute("src"), "nothing is highlighted"
    person.picture("4-citation")
    page.keyboard.press("Escape")

    person.ask("Remember the plant.")
    page.wait_for_selector("[data-approve=allow]")
    person.picture("5-approval")
    page.click("[data-approve=allow]")
    person.wait(".qb-footer", 2)
    person.wait(".qb-approval", 0)

    person.ask("Compute for long.")
    person.wait(".qb-card.running")
    end = time.monotonic() + 60
    while chat.busy() < 0.1:  # the code runs
        assert time.monotonic() < end
    person.picture("6-long")
    page.click("#qb-stop")
    person.wait(".qb-card.cancelled")
    person.wait("#qb-status[hidden]")
    end = time.monotonic() + 60
    while chat.busy() > 0.05:
        assert time.monotonic() < end, "the kernel still computes"
    person.picture("7-stopped")
    person.ask("Is the kernel there?")
    playwright.expect(page.locator("#qb-turns")).to_contain_text("x is 42", timeout=PATIENCE)

    page.click("#qb-export")
    with page.expect_download() as download:
        page.click("#qb-export-menu a >> nth=2")
    archive = tmp_path / "saved.zip"
    download.value.save_as(archive)
    person.leave()
    run_scenario(archive, tmp_path / "saved")


def run_scenario(archive: Path, folder: Path) -> None:
    """Runs what was exported, as a user does: unpack, pytest."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    assert (folder / PDF.name).read_bytes() == PDF.read_bytes()
    text = (folder / "conversation.scenario.yaml").read_text(encoding="utf-8")
    assert "Remember the plant." in text
    assert "while True" not in text
    done = subprocess.run(
        [Path(sys.executable).with_name("pytest"), "-q", "-p", "no:cacheprovider", str(folder)],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "QWENBELT_WORKSPACE": str(folder / "workspace")},
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_reload_edit_retry_and_languages(chat: Chat, chromium: Any) -> None:
    person = Person(chromium, chat.url)
    page = person.page
    person.ask("Tell me a long story.")
    page.wait_for_function("document.querySelector('.qb-text')?.innerText.length > 200")
    page.reload()
    page.wait_for_function("document.querySelector('.qb-text')?.innerText.length > 200")
    assert page.locator("#qb-stop").is_visible(), "it is not in mid-answer"
    before = page.inner_text(".qb-text")
    page.wait_for_function(
        "length => document.querySelector('.qb-answer').innerText.length > length",
        arg=len(before),
    )
    person.picture("8-reloaded")
    page.click("#qb-stop")
    person.wait("#qb-status[hidden]")
    page.click("[data-action=edit]")
    page.fill(".qb-edit", "A short one.")
    person.picture("9-edit")
    page.keyboard.press("Control+Enter")
    playwright.expect(page.locator(".qb-text strong")).to_have_text("one", timeout=PATIENCE)
    person.wait(".qb-footer")
    assert person.wait(".qb-version").inner_text() == "2/2"
    page.click("[data-action=retry]")
    playwright.expect(page.locator(".qb-version")).to_have_text("3/3", timeout=PATIENCE)
    person.wait(".qb-footer")
    page.click("#qb-language")
    page.wait_for_url("**/zh/**")
    person.wait(".qb-footer")
    playwright.expect(page.locator("#qb-new")).to_contain_text("新对话", timeout=PATIENCE)
    person.picture("10-chinese")
    page.click("#qb-language")
    page.wait_for_url("**/en/**")
    person.wait(".qb-footer")
    person.leave()


def test_the_example_of_a_chat_over_given_agents(
    chromium: Any, running_example: Any, tmp_path: Path
) -> None:
    (tmp_path / "s.yaml").write_text(
        "say: '@weather How many degrees Celsius are 212 F?'\n"
        "turns:\n- calls: [{celsius: {fahrenheit: 212}}]\n- answer: '**${celsius} C**'\n",
        encoding="utf-8",
    )
    with running_example("chat_gui.py", tmp_path) as url:
        person = Person(chromium, url)
        page = person.page
        assert page.get_attribute("#qb-message textarea", "placeholder") == (
            "Ask the analyst, or @weather"
        )
        page.click(".qb-example")
        page.locator("#qb-message textarea").press("Enter")
        person.wait(".qb-card.done")
        person.wait(".qb-footer")
        assert person.wait(".qb-text strong").inner_text() == "100.0 C"
        name = "getComputedStyle(document.querySelector('.qb-question'), '::before').content"
        assert page.evaluate(name) == '"Ann"'
        page.click("#qb-settings button")
        about = page.locator("#qb-settings .qb-agents")
        playwright.expect(about).to_contain_text("Knows temperatures.", timeout=PATIENCE)
        person.picture("15-given-agents")
        person.leave()


AXE = os.environ.get("QWENBELT_AXE", "")


@pytest.mark.skipif(not AXE, reason="needs axe-core: QWENBELT_AXE names its axe.min.js")
@pytest.mark.parametrize(
    "settings",
    [{}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}}],
    ids=["light", "dark", "phone"],
)
def test_axe_finds_nothing(chat: Chat, chromium: Any, settings: dict[str, Any]) -> None:
    person = Person(chromium, chat.url, **settings)
    page = person.page
    found = {"welcome": violations(page)}
    attach_and_ask(person)
    person.wait(".qb-footer")
    page.locator(".qb-card summary").first.click()
    page.locator(".qb-text .qb-cite").click()
    page.wait_for_function("document.querySelector('.qb-page-box img')?.naturalWidth > 0")
    found["answer and panel"] = violations(page)
    page.locator(".qb-tab").nth(1).click()
    page.wait_for_selector(".qb-desk-list")
    found["files"] = violations(page)
    page.keyboard.press("Escape")
    person.ask("Remember the plant.")
    page.wait_for_selector("[data-approve=allow]")
    page.locator("[data-action=edit]").first.click()
    found["approval and edit"] = violations(page)
    page.click("[data-approve=refuse]")
    person.wait(".qb-footer", 2)
    if page.viewport_size["width"] < 760:
        page.click(".sidebar .toggle-button")
    page.click("#qb-settings button")
    page.click("#qb-export")
    page.wait_for_function("document.getAnimations().every(one => one.playState !== 'running')")
    page.wait_for_timeout(1000)
    found["settings"] = violations(page)
    person.leave()
    told = [f"{place}: {rule}" for place, rules in found.items() for rule in rules]
    assert not told, "\n".join(told)


def violations(page: Any) -> list[str]:
    """Returns what axe finds, each with the elements."""
    page.evaluate(Path(AXE).read_text(encoding="utf-8"))
    rules = page.evaluate("axe.run(document).then(result => result.violations)")
    return [
        f"{rule['id']}: " + " | ".join(node["failureSummary"][:300] for node in rule["nodes"][:4])
        for rule in rules
    ]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("phone", {"viewport": {"width": 390, "height": 844}, "has_touch": True}),
        ("dark", {"color_scheme": "dark"}),
    ],
)
def test_phone_and_dark(chat: Chat, chromium: Any, name: str, settings: dict[str, Any]) -> None:
    person = Person(chromium, chat.url, **settings)
    person.picture(f"11-{name}-welcome")
    attach_and_ask(person)
    person.wait(".qb-footer")
    person.picture(f"12-{name}-answered")
    person.page.locator(".qb-text .qb-cite").click()
    person.page.wait_for_function("document.querySelector('.qb-page-box img')?.naturalWidth > 0")
    person.picture(f"13-{name}-citation")
    person.page.keyboard.press("Escape")
    person.ask("Remember the plant.")
    person.page.wait_for_selector("[data-approve=allow]")
    person.picture(f"14-{name}-approval")
    width = person.page.evaluate("document.documentElement.scrollWidth")
    assert width <= person.page.viewport_size["width"]
    person.page.click("[data-approve=refuse]")
    person.wait(".qb-footer", 2)
    person.leave()
