"""Takes the pictures of reports, inspections, reviews, traces and the terminal; see pictures.py.

The models are scripted, at a lifelike pace where times are shown; everything else is real.
"""

from __future__ import annotations

import base64
import io
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import pypdfium2
from gui_pictures import BROWSERS, LIFELIKE, WORDS, fonts
from PIL import Image, ImageDraw, ImageFilter
from playwright.sync_api import Page, sync_playwright

LANGUAGES = {"en": "", "zh": "_zh"}


@contextmanager
def window(width: int, height: int) -> Iterator[Page]:
    """A page of a headless Chromium that draws Chinese."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as started, fonts() as environment:
        browser = started.chromium.launch(
            executable_path=path, args=["--no-sandbox"], env=environment
        )
        yield browser.new_page(viewport={"width": width, "height": height})
        browser.close()


def command(*words: str | Path, language: str, **options: Any) -> None:
    """Runs qwenbelt."""
    environment = {**os.environ, "QWENBELT_LANG": language}
    subprocess.run(["qwenbelt", *map(str, words)], check=True, env=environment, **options)


def pages(pdf: Path, numbers: list[int], out: Path) -> None:
    """Writes pages of a PDF side by side."""
    document = pypdfium2.PdfDocument(pdf)
    drawn = [document[n].render(scale=1.3).to_pil() for n in numbers if n < len(document)]
    document.close()
    width = sum(page.width for page in drawn) + 14 * (len(drawn) - 1)
    sheet = Image.new("RGB", (width, drawn[0].height), "#9aa3b0")
    for n, page in enumerate(drawn):
        sheet.paste(page, (n * (page.width + 14), 0))
    sheet.quantize(128).save(out, optimize=True)


def report(folder: Path) -> None:
    """The demo's report: two pages as PDF, and the page with a citation open."""
    for language, suffix in LANGUAGES.items():
        with tempfile.TemporaryDirectory() as work:
            out = Path(work) / "demo"
            command("demo", "--scripted", "--out", out, "--language", language, language=language)
            pages(out / "report.pdf", [0, 1], folder / f"report{suffix}.png")
            with window(1100, 900) as page:
                page.goto((out / "report.html").as_uri())
                page.locator("a.cite").nth(1).hover()
                page.screenshot(path=folder / f"report_page{suffix}.png")


def inspection(folder: Path) -> None:
    """An inspection of drawn scenes: its report, and its review."""
    for language, suffix in LANGUAGES.items():
        with tempfile.TemporaryDirectory() as work:
            out = inspected(Path(work), language)
            pages(out, [0, 1], folder / f"inspection{suffix}.png")
            with window(1280, 800) as page, review(out, language) as url:
                page.goto(url)
                page.wait_for_selector("aside h2")
                page.keyboard.press("y")
                page.wait_for_selector(".verdict.confirmed")
                page.wait_for_timeout(400)
                page.screenshot(path=folder / f"review{suffix}.png")


def labels(folder: Path) -> None:
    """The review of labels, of drawn scenes with the votes of three answers."""
    from qwenbelt.workflows.labelling.asking import Labelled
    from qwenbelt.workflows.labelling.export import write_all
    from qwenbelt.workflows.labelling.labels import Labels

    for language, suffix in LANGUAGES.items():
        with tempfile.TemporaryDirectory() as work, window(1280, 800) as page:
            place = Path(work)
            scenes(place / "thumbnails")
            names = ["helmets worn", "helmet missing", "nobody there"]
            if language == "zh":
                names = ["均戴安全帽", "有人未戴", "无人"]
            votes = (((names[1],), 2), ((names[0],), 1))
            found = [
                Labelled(name, True, "", (names[1],), "", 0.67, votes, doubtful=n == 0)
                for n, name in enumerate(("gate.jpg", "bay.jpg", "yard.jpg"))
            ]
            for name in ("gate", "bay", "yard"):
                source = place / "thumbnails" / f"{name}.jpg"
                source.rename(place / "thumbnails" / f"{name}.jpg.jpg")
            write_all(place, found, Labels(labels=dict.fromkeys(names)), language, {})
            with review(place, language) as url:
                page.goto(url)
                page.wait_for_selector(".choices button")
                # a busy machine took an empty page
                page.locator(".sheet img").evaluate("(one) => one.decode()")
                page.wait_for_timeout(400)
                page.screenshot(path=folder / f"review_labels{suffix}.png")


@contextmanager
def review(target: Path, language: str) -> Iterator[str]:
    """A review page."""
    process = subprocess.Popen(
        ["qwenbelt", "review", target, "--no-open", "--lang", language],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        found = (re.search(r"http://\S+", line) for line in process.stdout or ())
        yield next(match[0] for match in found if match)
    finally:
        process.terminate()
        process.wait(30)


# ---- scenes with people, drawn, so that no picture of real people is needed ---------------------

Scene = tuple[tuple[int, int], list[tuple[int, int, int, str]], bool]
SCENES: dict[str, Scene] = {
    "gate": (
        (1600, 900),
        [(300, 430, 330, "wearing"), (700, 470, 300, "not wearing"), (1200, 440, 320, "unsure")],
        False,
    ),
    "bay": ((1500, 1000), [(200, 560, 330, "wearing")], True),
    "yard": ((1200, 900), [(380, 540, 280, "wearing")], False),
    "store": ((1000, 1000), [], False),
}


def scenes(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Draws the scenes; returns what is to be seen on each, in thousandths."""
    folder.mkdir(parents=True)
    table = {}
    for number, (name, (size, people, fire)) in enumerate(SCENES.items()):
        picture = Image.new("RGB", size, (176, 196, 214))
        pen, dice = ImageDraw.Draw(picture), random.Random(number)
        width, height = size
        pen.rectangle((0, height * 0.55, width, height), fill=(150, 140, 122))
        for n in range(5):
            left = n * width / 5
            wall = (left + 10, height * 0.2, left + width / 5 - 18, height * 0.6)
            pen.rectangle(wall, fill=(120 + 8 * n, 118, 112))
        for _ in range(400):
            x, y = dice.random() * width, height * (0.55 + 0.45 * dice.random())
            pen.ellipse((x, y, x + 4, y + 3), fill=(130, 122, 104))
        found = [person(pen, *one) for one in people]
        if fire:
            found.append(flames(pen, 900, 560, 220))
        picture.filter(ImageFilter.SMOOTH).save(folder / f"{name}.jpg", quality=90)
        table[name] = [
            {
                **one,
                "bbox_2d": [round(1000 * v / size[n % 2]) for n, v in enumerate(one["bbox_2d"])],
            }
            for one in found
        ]
    return table


def person(pen: Any, x: int, y: int, tall: int, grade: str) -> dict[str, Any]:
    """Draws a person."""
    wide, head = tall * 0.38, tall * 0.11
    coat = (230, 110, 30) if grade == "wearing" else (52, 84, 130)
    pen.rounded_rectangle((x, y + 2 * head, x + wide, y + tall * 0.62), 8, fill=coat)
    for left, right in ((0.12, 0.42), (0.58, 0.88)):
        legs = (x + wide * left, y + tall * 0.6, x + wide * right, y + tall)
        pen.rectangle(legs, fill=(40, 44, 58))
    middle = x + wide / 2
    pen.ellipse((middle - head, y, middle + head, y + 2 * head), fill=(226, 182, 150))
    hat = (middle - head * 1.2, y - head * 0.5, middle + head * 1.2, y + head * 1.8)
    pen.pieslice(hat, 180, 360, fill=(250, 210, 40) if grade == "wearing" else (60, 40, 30))
    box = [x - 4, y - head * 0.6, x + wide + 4, y + tall]
    return {"bbox_2d": box, "label": "person", "sub_label": grade}


def flames(pen: Any, x: int, y: int, size: int) -> dict[str, Any]:
    """Draws a fire."""
    for n, color in enumerate(((214, 60, 20), (240, 130, 20), (255, 214, 80))):
        part = size * (1 - 0.28 * n)
        foot, top = y + size, y + size - part * 1.1
        middle = x + size / 2
        pen.polygon([(middle - part / 2, foot), (middle, top), (middle + part / 2, foot)], color)
    box = [x, y - 0.1 * size, x + size, y + size]
    return {"bbox_2d": box, "label": "fire", "sub_label": "severe", "reason": "open flames"}


def inspected(work: Path, language: str) -> Path:
    """Inspects the scenes by a model that knows them by their shapes; returns the report."""
    from qwenbelt.testing import ScriptedLLM, ScriptedServer

    table = scenes(work / "site")

    def look(request: Any) -> dict[str, str]:
        parts = request.messages[-1]["content"]
        url = next(part["image_url"]["url"] for part in parts if part["type"] == "image_url")
        with Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1]))) as picture:
            shape = picture.width / picture.height
        shapes = {name: scene[0][0] / scene[0][1] for name, scene in SCENES.items()}
        return {"answer": json.dumps(table[min(shapes, key=lambda n: abs(shapes[n] - shape))])}

    llm = ScriptedLLM(model="qwen3-vl")
    llm.turn(look)
    with ScriptedServer(llm, plays=None) as server:
        spec = f"openai:qwen3-vl@{server.url}"
        words = ("inspect", "site", "--out", "out/report.pdf", "-e", spec)
        command(*words, "--lang", language, language=language, cwd=work)
    return work / "out" / "report.pdf"


# ---- traces and the terminal --------------------------------------------------------------------

SCENARIO = """
timing: {{first_token: 0.8, tokens_per_second: 50}}
conversations:
  - say: {question}
    turns:
      - text: {looking}
        calls:
          - document_search: {{query: "heat content of coal, MMBtu a ton", top_k: 3}}
          - document_search: {{query: "moisture and ash of coal", top_k: 3}}
          - code_interpreter: {{code: "[(19 + 29) / 2, (15 + 20) / 2, (10 + 15) / 2]"}}
      - text: {answer}
"""
PACE = "timing: {first_token: 0.8, tokens_per_second: 80}\n"
DOCUMENT = Path(__file__).resolve().parents[1] / "workflows" / "demo" / "eia-923-instructions.pdf"
TOOLS = ("-t", "document_search", "-t", "code_interpreter")


def scenario(work: Path, language: str) -> None:
    """Writes the scenario."""
    text = SCENARIO.format(**WORDS[language])
    (work / "model.yaml").write_text(text, encoding="utf-8")
    shutil.copy(DOCUMENT, work)


def trace(folder: Path) -> None:
    """The page of the demo's question, with its replies at the pace of a model."""
    from qwenbelt.workflows.demo.bundled import scripted_replies
    from qwenbelt.workflows.demo.job import demo_question

    for language, suffix in LANGUAGES.items():
        with tempfile.TemporaryDirectory() as place:
            work = Path(place)
            shutil.copy(DOCUMENT, work)
            (work / "model.yaml").write_text(PACE + scripted_replies(language), encoding="utf-8")
            ask = ("report", DOCUMENT.name, "--ask", demo_question(language), "--out", "out")
            for _ in range(2):  # the first time files of the machine are read
                command(*ask, "-e", "scripted:model.yaml", language=language, cwd=work)
            trace_picture(work / "out" / "trace.jsonl", language, folder / f"trace{suffix}.png")


def trace_picture(file: Path, language: str, out: Path) -> None:
    """Shows a trace."""
    with tempfile.TemporaryDirectory() as work, window(1100, 860) as page:
        shown = Path(work) / "run.html"
        command("trace", "show", file, "--html", shown, language=language)
        page.goto(shown.as_uri())
        page.screenshot(path=out)


def terminal(folder: Path) -> None:
    """A chat in the terminal, as a cast that plays once."""
    for language, suffix in LANGUAGES.items():
        with tempfile.TemporaryDirectory() as work:
            scenario(Path(work), language)
            frames = chat_frames(Path(work), language)
            (folder / f"terminal{suffix}.svg").write_text(cast(frames), encoding="utf-8")


def chat_frames(work: Path, language: str) -> list[tuple[float, str]]:
    """Plays a chat in tmux; returns what it showed, and from when on."""
    socket = ["tmux", "-S", str(work / "s")]
    chat = [sys.executable, "-c", "from qwenbelt.apps.cli import main; main()", "chat"]
    line = shlex.join([*chat, "-e", "scripted:model.yaml", *TOOLS])
    given = {"QWENBELT_LANG": language, "LC_ALL": "C.UTF-8", "QWENBELT_WORKSPACE": str(work / "w")}
    words = [word for name, value in given.items() for word in ("-e", f"{name}={value}")]
    size = ("-x", str(COLUMNS), "-y", "30", "-c", str(work))
    subprocess.run(
        [*socket, "-f", os.devnull, "new-session", "-d", *size, *words, line], check=True
    )

    def shown() -> str:
        capture = [*socket, "capture-pane", "-p", "-e"]
        return subprocess.run(capture, capture_output=True, encoding="utf-8", check=True).stdout

    def until(there: Callable[[str], bool]) -> None:
        end = time.monotonic() + 240
        while not there(shown()):
            if time.monotonic() > end:
                raise TimeoutError(f"It did not come:\n{shown()}")
            time.sleep(0.1)

    def keys(*words: str) -> None:
        subprocess.run([*socket, "send-keys", *words], check=True)

    def ask() -> None:
        keys("-l", "/file eia-923-instructions.pdf")
        keys("Enter")
        time.sleep(1)
        keys("-l", WORDS[language]["question"])

    frames: list[tuple[float, str]] = []
    try:
        until(lambda screen: "›" in screen)
        ask()  # the document is indexed and the kernel starts: nobody sees that every day
        keys("Enter")
        until(finished)
        keys("-l", "/clear")
        keys("Enter")
        time.sleep(1)
        keys("C-l")
        ask()
        began = time.monotonic()
        frames.append((0.0, shown()))
        keys("Enter")
        while time.monotonic() - began < 120 and not finished(shown()):
            now = shown()
            if now != frames[-1][1]:
                frames.append((time.monotonic() - began, now))
            time.sleep(0.25)
        time.sleep(1.5)
        frames.append((time.monotonic() - began, shown()))
    finally:
        subprocess.run([*socket, "kill-server"], check=False)
    if frames[-1][0] > 2 * LIFELIKE:
        raise SystemExit("This machine is too busy: the cast would show its load. Nothing taken.")
    return frames


def finished(screen: str) -> bool:
    """Whether an answer stands there and the next question is asked for."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", screen).rstrip()
    return "p.8" in plain and plain.splitlines()[-1].startswith("›")


COLUMNS, CELL = 96, (8.43, 19)  # of the terminal; width and height of a character


def turned(to: str, begin: float) -> str:
    """Returns what shows or hides a frame at a time."""
    return f'<set attributeName="visibility" to="{to}" begin="{begin:.2f}s" fill="freeze"/>'


def cast(frames: list[tuple[float, str]]) -> str:
    """Returns an SVG in which each frame is seen in its time; the last one stays."""
    lines = max(len(text.rstrip().splitlines()) for _, text in frames)
    width, height = COLUMNS * CELL[0] + 24, (lines + 1) * CELL[1] + 24
    parts = []
    for n, (shown, text) in enumerate(frames):
        stop = "" if n == len(frames) - 1 else turned("hidden", frames[n + 1][0])
        start = turned("visible", shown)
        seen = "visible" if n == 0 else "hidden"
        parts.append(f'<g visibility="{seen}">{screen_svg(text)}{start}{stop}</g>')
    style = "text{font:14px 'DejaVu Sans Mono',Menlo,Consolas,monospace;white-space:pre}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}">'
        f'<style>{style}</style><rect width="100%" height="100%" rx="8" fill="#1b1f27"/>'
        f"{''.join(parts)}</svg>\n"
    )


def screen_svg(screen: str) -> str:
    """Returns what stands on a screen, each stretch of one style at its column."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.terminal_theme import MONOKAI
    from rich.text import Text

    console = Console(width=COLUMNS, file=io.StringIO(), force_terminal=True)
    drawn = []
    for row, line in enumerate(screen.rstrip().splitlines()):
        column = 0
        for text, style, _ in Text.from_ansi(line).render(console):
            at, column = column, column + cell_len(text)
            if not text.strip():
                continue
            color = "#d7dce4"
            if style is not None and style.color is not None:
                color = style.color.get_truecolor(MONOKAI).hex
            extra = ' style="font-weight:bold"' if style is not None and style.bold else ""
            extra += ' opacity="0.6"' if style is not None and style.dim else ""
            if cell_len(text) > len(text):  # characters of two columns
                extra += f' textLength="{cell_len(text) * CELL[0]:g}"'
            x, y = 12 + at * CELL[0], 12 + (row + 1) * CELL[1]
            drawn.append(f'<text x="{x:g}" y="{y:g}" fill="{color}"{extra}>{escape(text)}</text>')
    return "".join(drawn)
