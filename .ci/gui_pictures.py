"""Takes the pictures of the chat that the documentation shows.

    python .ci/gui_pictures.py [FOLDER]

starts `qwenbelt gui` on a scripted model, asks in a headless Chromium as a person would, and
writes PNG files (docs/pictures by default). Needs the extras `gui` and `browser`, and Chromium.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

from qwenbelt.tools.plot.fonts import cjk_font

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "workflows" / "demo" / "eia-923-instructions.pdf"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
TRIES, LIFELIKE = 5, 12.0  # questions until one is answered within so many seconds
WAIT = 120_000  # milliseconds, on a busy machine

# the model's words; what the tools return is real
SCRIPT = """
timing: {{first_token: 0.8, tokens_per_second: 50}}
conversations:
  - say: {question}
    turns:
      - think: {thought}
        text: {looking}
        calls:
          - document_search: {{query: "heat content, gross higher heating value", top_k: 3}}
          - document_search: {{query: "quality of coal: ash and moisture content", top_k: 3}}
          - code_interpreter:
              code: "{{'BIT': (19 + 29) / 2, 'SUB': (15 + 20) / 2, 'LIG': (10 + 15) / 2}}"
      - calls:
          - plot:
              kind: bar
              title: {title}
              unit: MMBtu
              labels: [BIT, SUB, LIG]
              series: [{{values: [24, 17.5, 12.5]}}]
      - text: {answer}
      - say: {order}
        calls:
          - file_write: {{path: notes.md, content: "Lignite holds half the heat of bituminous."}}
      - text: "**OK**"
"""
WORDS = {
    "en": {
        "question": "How does the heat content of the coals compare? Show it.",
        "thought": "I look into the document for ranges, and compute midpoints meanwhile.",
        "looking": "I look it up in two places and compute at the same time.",
        "title": "Heat content by rank of coal, midpoints of Table 1",
        "answer": '"**Lignite holds about half the heat of bituminous coal**, 12.5 against 24 '
        'MMBtu a ton at the middle of the ranges: \\"Lignite Coal 10 - 15\\", '
        '\\"Bituminous Coal 19 -29\\" [eia-923-instructions.pdf p.8]."',
        "order": "Write that down in notes.md.",
    },
    "zh": {
        "question": "各种煤的热值相差多少？请画图。",
        "thought": "先在文档中查找范围，同时计算中点。",
        "looking": "我同时查找两处并进行计算。",
        "title": "各煤种热值（表 1 各范围的中点）",
        "answer": '"**褐煤的热值约为烟煤的一半**：按范围中点计，每吨 12.5 对 24 MMBtu：'
        '“Lignite Coal 10 - 15”、“Bituminous Coal 19 -29” [eia-923-instructions.pdf p.8]。"',
        "order": "请写进 notes.md。",
    },
}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as started, fonts() as environment:
        browser = started.chromium.launch(
            executable_path=browser_path,
            args=["--no-sandbox", "--disable-dev-shm-usage"],
            env=environment,
        )
        for language, locale in (("en", "en-US"), ("zh", "zh-CN")):
            with chat(language) as url:
                page = browser.new_page(locale=locale, viewport={"width": 1280, "height": 1060})
                page.goto(url)
                page.wait_for_selector("#qb-welcome:not([hidden])")
                suffix = "" if language == "en" else "_zh"
                for name in conversation(page, WORDS[language]):
                    page.wait_for_timeout(500)  # transitions end
                    page.screenshot(path=folder / f"{name}{suffix}.png")
                page.close()
        browser.close()


@contextmanager
def fonts() -> Iterator[dict[str, str]]:
    """An environment in which Chromium draws Chinese wherever this runs."""
    font = cjk_font()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fonts.conf"
        extra = f"<dir>{font.path.parent}</dir>" if font else ""
        path.write_text(
            f"<fontconfig><include>/etc/fonts/fonts.conf</include>{extra}</fontconfig>", "utf-8"
        )
        yield {**os.environ, "FONTCONFIG_FILE": str(path)}


def conversation(page: Page, words: dict[str, str]) -> Iterator[str]:
    """Asks as a person would; at each name that is yielded the page shows what it says."""
    for tried in range(TRIES):
        page.set_input_files("#qb-message input[type=file]", DOCUMENT)
        page.wait_for_selector("#qb-message .thumbnails, #qb-message [aria-label*=emove]")
        ask(page, words["question"])
        expect(page.locator(".qb-footer")).to_have_count(1, timeout=WAIT)
        # the first time the document is indexed and the kernel starts: no times of daily life
        if tried and lifelike(page.locator(".qb-footer").inner_text()):
            break
        page.locator("#qb-new").click()
        page.wait_for_selector("#qb-welcome:not([hidden])")
    else:
        raise SystemExit("This machine is too busy: the lanes would show its load. Nothing taken.")
    page.locator("img.qb-figure").first.scroll_into_view_if_needed()
    yield "chat"
    page.locator(".qb-text .qb-cite").last.click()
    page.wait_for_selector("#qb-panel img", timeout=WAIT)
    yield "citation"
    page.keyboard.press("Escape")
    ask(page, words["order"])
    page.wait_for_selector(".qb-approval", timeout=WAIT)
    yield "approval"


def lifelike(footer: str) -> bool:
    """Whether an answer took about what its words are paced at, and not what a load adds."""
    found = re.search(r"(\d+(?:\.\d+)?) ?(?:s\b|秒)", footer)
    return found is not None and "min" not in footer and float(found[1]) <= LIFELIKE


def ask(page: Page, text: str) -> None:
    box: Any = page.locator("#qb-message textarea")
    box.fill(text)
    box.press("Enter")


@contextmanager
def chat(language: str) -> Iterator[str]:
    """A chat server of its own, on a script."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.yaml").write_text(SCRIPT.format(**WORDS[language]), encoding="utf-8")
        (Path(folder) / "qwenbelt.toml").write_text("", encoding="utf-8")
        tools = ("document_search", "code_interpreter", "plot", "file_write")
        process = subprocess.Popen(
            [
                *(
                    "qwenbelt",
                    "gui",
                    "-e",
                    "scripted:model.yaml",
                    "--port",
                    "0",
                    "--approve",
                    "ask",
                ),
                *(word for tool in tools for word in ("-t", tool)),
            ],
            cwd=folder,
            env={**os.environ, "QWENBELT_LANG": language, "QWENBELT_WORKSPACE": folder},
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        try:
            found = (re.search(r"http://[\w.:]+", line) for line in process.stdout or ())
            yield next(match[0] for match in found if match)
        finally:
            process.terminate()
            process.wait(30)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures")
