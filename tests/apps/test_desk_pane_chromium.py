"""The side pane as a workplace: code that runs again, tables of all kinds, pages to read, times."""

from __future__ import annotations

from typing import Any

import pytest

from qwenbelt.tools.code_interpreter import isolation_level
from qwenbelt.workflows.demo.bundled import demo_pdf

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(900)]
playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
PATIENCE = 240_000  # milliseconds


def open_tab(screen: Any, name: str) -> Any:
    if not screen.page.locator("#qb-panel:visible").count():
        screen.page.click("#qb-desk")
    screen.page.get_by_role("tab", name=name).click()
    return screen.page.locator("#qb-panel")


@pytest.mark.skipif(isolation_level() == "none", reason="needs a sandbox for code")
def test_code_runs_again_in_the_live_session(screen: Any) -> None:
    screen.open()
    panel = open_tab(screen, "Code")
    editor = panel.locator("textarea.qb-cell-edit")
    editor.fill(
        "import pandas as pd\nframe = pd.DataFrame({'a': [3, 1, 2]})\nn = 41\nprint('ready')"
    )
    editor.press("Control+Enter")
    cells = panel.locator(".qb-cell.done")
    expect(cells).to_have_count(1, timeout=PATIENCE)
    expect(cells.first).to_contain_text("ready", timeout=PATIENCE)
    rows = panel.locator(".qb-variables tbody tr")
    expect(rows).to_have_text(["frameDataFrame3 × 1a: int64", "nint41"], timeout=PATIENCE)
    cells.first.get_by_role("button", name="Edit and run again").click()
    expect(panel.locator(".qb-cell textarea")).to_have_count(2, timeout=PATIENCE)
    panel.locator(".qb-cell textarea").first.fill("n = n + 1\nprint('now', n)")
    panel.locator(".qb-run").first.click()
    expect(cells).to_have_count(2, timeout=PATIENCE)
    expect(cells.last).to_contain_text("now 42", timeout=PATIENCE)
    new = panel.locator("textarea.qb-cell-edit")
    new.fill(
        "import time\nfor k in range(600):\n    print('tick', k, flush=True)\n    time.sleep(0.1)"
    )
    new.press("Control+Enter")
    running = panel.locator(".qb-cell.running")
    expect(running).to_contain_text("tick 3", timeout=PATIENCE)  # while it runs
    running.get_by_role("button", name="Stop").click()
    expect(panel.locator(".qb-cell.cancelled")).to_have_count(1, timeout=PATIENCE)
    panel.locator(".qb-variables button", has_text="frame").click()
    expect(panel.locator(".qb-grid-box tbody td")).to_have_text(["3", "1", "2"], timeout=PATIENCE)
    panel.locator(".qb-grid-box th button").click()
    expect(panel.locator(".qb-grid-box tbody td").first).to_have_text("1", timeout=PATIENCE)
    open_tab(screen, "Code")
    expect(cells.last).to_contain_text("now 42", timeout=PATIENCE)
    with screen.page.expect_download() as download:
        panel.get_by_role("link", name=".py").click()
    assert "print('now', n)" in download.value.path().read_text(encoding="utf-8")


def test_results_of_queries_and_tables_of_pages_are_in_the_grid(screen: Any) -> None:
    screen.open()
    screen.page.set_input_files("#qb-message input[type=file]", demo_pdf())
    screen.wait("#qb-attached .qb-file")
    screen.ask("Query it")
    screen.wait(".qb-footer")
    panel = open_tab(screen, "Data")
    panel.locator(".qb-desk-body .qb-button", has_text="query · 2 × 2").click()
    cells = panel.locator(".qb-grid-box tbody td")
    expect(cells).to_have_text(["Ada", "9", "Bo", "120"], timeout=PATIENCE)
    panel.locator(".qb-grid-box th button", has_text="mw").click()
    panel.locator(".qb-grid-box th button", has_text="mw").click()
    expect(cells.first).to_have_text("Bo", timeout=PATIENCE)
    open_tab(screen, "Data")
    panel.get_by_role("button", name="Tables in eia-923-instructions.pdf").click()
    table = panel.locator(".qb-found .qb-desk-name")
    expect(table.first).to_be_visible(timeout=PATIENCE)
    table.first.click()
    expect(panel.locator(".qb-grid-box tbody tr").first).to_be_visible(timeout=PATIENCE)


def test_a_page_is_read_searched_and_turned(screen: Any) -> None:
    screen.open()
    screen.page.set_input_files("#qb-message input[type=file]", demo_pdf())
    screen.wait("#qb-attached .qb-file")
    screen.ask("Hello")
    screen.wait(".qb-footer")
    panel = open_tab(screen, "Document")
    panel.get_by_role("button", name="Open eia-923-instructions.pdf").click()
    expect(panel.locator(".qb-thumb-page")).to_have_count(42, timeout=PATIENCE)
    panel.locator(".qb-thumb-page").nth(1).click()
    expect(panel.locator(".qb-thumb-page").nth(1)).to_have_attribute("aria-current", "page")
    panel.get_by_label("Find in the document").fill("fuel")
    panel.get_by_label("Find in the document").press("Enter")
    panel.locator(".qb-found button").first.click()
    expect(panel.locator(".qb-panel-note")).to_contain_text("on this page", timeout=PATIENCE)
    expect(panel.locator(".qb-page img")).to_have_attribute("src", playwright_boxes())
    line = panel.locator(".qb-layer span").first
    line.wait_for()
    said = line.inner_text().strip()
    picked = screen.page.evaluate(
        """() => { const line = document.querySelector(".qb-layer span");
        const range = document.createRange(); range.selectNodeContents(line);
        getSelection().removeAllRanges(); getSelection().addRange(range);
        const [own, sheet] = [line, line.closest(".qb-page")].map((e) => e.getBoundingClientRect());
        return [String(getSelection()).trim(), own.right <= sheet.right + 2 && own.width > 20]; }"""
    )
    assert picked == [said, True]
    panel.get_by_role("button", name="Ask about this passage").click()
    expect(screen.page.locator("#qb-message textarea")).to_have_value(
        f"«{said}» (eia-923-instructions.pdf p.1)\n"
    )


def playwright_boxes() -> Any:
    import re

    return re.compile(r"boxes=%5B%5B\d")


def test_times_are_told_in_words_and_two_answers_compared(screen: Any) -> None:
    screen.open()
    screen.ask("Hello")
    screen.wait(".qb-footer")
    screen.page.click("[data-action=retry]")
    screen.wait(".qb-version")
    screen.wait(".qb-status[hidden], #qb-status[hidden]")
    panel = open_tab(screen, "Trace")
    path = panel.locator(".qb-path")
    expect(path).to_contain_text("What the end waited for: model", timeout=PATIENCE)
    expect(path).to_contain_text("look", timeout=PATIENCE)
    panel.locator(".qb-compare summary").click()
    rows = panel.locator(".qb-compare tbody tr")
    expect(rows.nth(4)).to_have_text("Calls33")
    expect(panel.locator(".qb-compare option").first).to_contain_text("another version")
    assert panel.locator(".qb-compare").inner_text().count("Tokens in") == 1


def test_a_chart_is_moved_filtered_and_taken_along(screen: Any) -> None:
    pytest.importorskip("vl_convert")
    screen.open()
    screen.ask("Chart it")
    screen.wait(".qb-footer")
    figures = screen.wait(".qb-enlarge[data-chart]", 2)
    figures.first.click()
    chart = screen.page.locator("#qb-lightbox .qb-chart svg")
    chart.wait_for(timeout=PATIENCE)
    ticks = chart.locator(".role-axis-label text").all_inner_texts()
    assert len(ticks) > 6, f"dates are at their places in time: {ticks}"
    lines = chart.locator("path[aria-roledescription='line mark']")
    expect(lines).to_have_count(2)
    chart.locator(".role-legend-label text", has_text="south").click()
    faint = "all => all.map(one => Number(getComputedStyle(one).opacity))"
    assert screen.page.wait_for_function(
        "() => [...document.querySelectorAll(\".qb-chart path[aria-roledescription='line mark']\")]"
        ".some(one => Number(getComputedStyle(one).opacity) < 0.5)"
    ), lines.evaluate_all(faint)
    point = chart.locator("path[aria-roledescription='point']").first
    point.hover(force=True)
    expect(screen.page.locator("#vg-tooltip-element.visible")).to_contain_text("2024-")
    for kind in ("PNG", "SVG", "CSV"):
        with screen.page.expect_download() as download:
            screen.page.locator("#qb-lightbox a", has_text=kind).click()
        assert download.value.suggested_filename.endswith(kind.lower())
    assert "2024-03-01" in download.value.path().read_text(encoding="utf-8")
    screen.page.get_by_role("button", name="Interactive").click()
    screen.wait("#qb-lightbox img")
    screen.page.keyboard.press("Escape")
    figures.last.click()
    bars = screen.page.locator("#qb-lightbox path[aria-roledescription='bar']")
    expect(bars).to_have_count(2, timeout=PATIENCE)
    begins = bars.evaluate_all("all => all.map(one => one.getBoundingClientRect().left)")
    assert begins[0] > begins[1] + 20, "a range begins where it begins, not at zero"
