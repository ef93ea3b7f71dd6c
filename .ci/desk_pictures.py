"""Takes the pictures of the chat's first minutes and of its side pane; see pictures.py.

The first minutes are shown as somebody sees them who has configured nothing; the demo is played by
the product itself, the side pane by a scripted model. What the tools return is real.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gui_pictures import DOCUMENT, WAIT, ask
from playwright.sync_api import Page, expect
from product_pictures import window

_KEPT = ("PATH", "LANG", "FONTCONFIG_FILE")  # of the maker's environment
SALES = "month,north,south\n2024-01,310,280\n2024-02,295,301\n2024-03,342,318\n2024-04,361,\n"
SCRIPT = """
timing: {first_token: 0.4, tokens_per_second: 80}
conversations:
  - say: How did north and south sell?
    turns:
      - text: I read the file and draw both.
        calls:
          - code_interpreter:
              code: |
                import pandas as pd
                sales = pd.read_csv("sales.csv")
                sales.set_index("month").sum()
          - plot:
              kind: line
              title: Sales of the two regions
              unit: units
              labels: ["2024-01", "2024-02", "2024-03", "2024-04"]
              series: [{name: north, values: [310, 295, 342, 361]},
                       {name: south, values: [280, 301, 318, null]}]
      - text: "**North sold 1308 units in four months**; south lacks April."
"""
CELL = "sales['south'].interpolate().round()"


@contextmanager
def gui(*words: str, **environment: str) -> Iterator[tuple[str, Path]]:
    """A chat server in a folder of its own, where nothing is configured; and the folder."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "model.yaml").write_text(SCRIPT, encoding="utf-8")
        (folder / "qwenbelt.toml").write_text("", encoding="utf-8")
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        own = {"HOME": place, "XDG_CONFIG_HOME": place, "QWENBELT_WORKSPACE": place}
        process = subprocess.Popen(
            ["qwenbelt", "gui", "--port", "0", *words],
            cwd=folder,
            env={**kept, **own, "QWENBELT_LANG": "en", **environment},
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        try:
            found = (re.search(r"http://[\w.:]+", line) for line in process.stdout or ())
            yield next(match[0] for match in found if match), folder
        finally:
            process.terminate()
            process.wait(30)


def first(folder: Path) -> None:
    """What is seen where nothing is configured, and the demo at its end."""
    with gui() as (url, _), window(1280, 1180) as page:
        page.goto(url)
        page.wait_for_selector(".qb-demo-play")
        page.wait_for_timeout(1500)  # what is found nearby comes a little later
        page.screenshot(path=folder / "first_minutes.png")
        page.click(".qb-demo-play")
        expect(page.locator(".qb-footer")).to_have_count(1, timeout=5 * WAIT)
        page.wait_for_timeout(500)
        page.screenshot(path=folder / "first_demo.png")


def desk(folder: Path) -> None:
    """A table, a cell that is run again, and a page, beside the conversation."""
    tools = ("-t", "code_interpreter", "-t", "plot")
    with gui("-e", "scripted:model.yaml", *tools) as (url, work), window(1440, 900) as page:
        (work / "sales.csv").write_text(SALES, encoding="utf-8")
        page.goto(url)
        page.wait_for_selector("#qb-welcome:not([hidden])")
        page.set_input_files("#qb-message input[type=file]", [work / "sales.csv", DOCUMENT])
        expect(page.locator("#qb-attached .qb-file")).to_have_count(2, timeout=WAIT)
        ask(page, "How did north and south sell?")
        expect(page.locator(".qb-footer")).to_have_count(1, timeout=WAIT)
        panel = page.locator("#qb-panel")
        tab(page, "Data")
        panel.get_by_role("button", name="sales.csv").first.click()
        panel.locator(".qb-grid-box th button", has_text="north").click()
        taken(page, folder / "desk_data.png")
        tab(page, "Code")
        editor = panel.locator("textarea.qb-cell-edit").last
        editor.fill(CELL)
        editor.press("Control+Enter")
        expect(panel.locator(".qb-cell.done").last).to_contain_text("dtype", timeout=WAIT)
        panel.locator(".qb-variables tbody tr").first.wait_for(timeout=WAIT)
        taken(page, folder / "desk_code.png")
        tab(page, "Document")
        panel.get_by_role("button", name=f"Open {DOCUMENT.name}").click()
        panel.locator("img").first.wait_for(timeout=WAIT)
        taken(page, folder / "desk_document.png")


def tab(page: Page, name: str) -> None:
    """Opens a tab of the side pane."""
    if page.locator("#qb-panel").is_hidden():
        page.click("#qb-desk")
    page.get_by_role("tab", name=name).click()


def taken(page: Page, path: Path) -> None:
    """Takes a picture when what moves has come to rest."""
    page.wait_for_timeout(700)
    page.screenshot(path=path)
