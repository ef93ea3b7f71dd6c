"""What a person may rely on at the chat's desk: nothing typed, chosen or asked for is lost."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(900)]
playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
PATIENCE = 240_000  # milliseconds
TOOLS = "#qb-tools input"
LOCAL = ("OLLAMA", "VLLM", "LLAMACPP", "LMSTUDIO", "SGLANG")
# a drop as a browser reports it; returns whether the page kept the browser from opening the file
DROP = """([where, name]) => {
  const given = new DataTransfer();
  given.items.add(new File(["a,b"], name, { type: "text/csv" }));
  const event = (kind) => new DragEvent(kind,
    { dataTransfer: given, bubbles: true, cancelable: true });
  const target = document.querySelector(where);
  target.dispatchEvent(event("dragenter"));
  const veiled = document.querySelector("#qb-drop") !== null;
  return [veiled, target.dispatchEvent(event("drop")), document.querySelector("#qb-drop") !== null];
}"""


class Gate:
    """Holds requests back until it is opened, as a cold server does; or only their replies."""

    def __init__(self, page: Any, pattern: str, *, replies: bool = False) -> None:
        self._held: list[tuple[Any, dict[str, Any]]] = []
        self._open = False
        self._replies = replies
        page.route(pattern, self._take)

    def _take(self, route: Any) -> None:
        if self._open:
            route.continue_()
        else:
            self._held.append((route, {"response": route.fetch()} if self._replies else {}))

    def open(self) -> None:
        self._open = True
        for route, reply in self._held:
            if reply:
                route.fulfill(**reply)
            else:
                route.continue_()


def tools_of(screen: Any) -> Any:
    screen.page.click("#qb-settings button")
    boxes = screen.page.locator(TOOLS)
    expect(boxes.first).to_be_enabled(timeout=PATIENCE)
    return boxes


def test_settings_touched_before_they_are_filled_lose_nothing(screen: Any) -> None:
    gate = Gate(screen.page, "**/run/predict*")  # the page's first values are on their way
    screen.open()
    screen.page.click("#qb-settings button")
    screen.page.locator(TOOLS).first.wait_for()
    for box in screen.page.locator(TOOLS).all():
        if box.is_enabled():
            box.click()
    gate.open()
    expect(screen.page.locator(f"{TOOLS}:checked")).to_have_count(4, timeout=PATIENCE)
    screen.page.reload()
    tools_of(screen)
    expect(screen.page.locator(f"{TOOLS}:checked")).to_have_count(4, timeout=PATIENCE)


def test_two_tabs_keep_each_others_settings(screen: Any) -> None:
    screen.open()
    tools_of(screen)
    other = screen.page.context.new_page()
    other.goto(screen.url)
    other.click("#qb-settings button")
    expect(other.locator(TOOLS).first).to_be_enabled(timeout=PATIENCE)
    with screen.page.expect_response("**/run/predict*"):
        screen.page.get_by_label("document_search").uncheck()
    with other.expect_response("**/run/predict*"):
        other.get_by_label("plot").uncheck()
    with other.expect_response("**/run/predict*"):
        other.locator("#qb-think").get_by_label("on", exact=True).check()
    other.close()
    screen.page.locator("#qb-think").get_by_label("off", exact=True).click()
    note = screen.page.locator(".qb-toast", has_text="changed in another window")
    note.wait_for(timeout=PATIENCE)
    on = screen.page.locator("#qb-think").get_by_label("on", exact=True)
    expect(on).to_be_checked(timeout=PATIENCE)
    screen.page.reload()
    tools_of(screen)
    expect(screen.page.locator(f"{TOOLS}:checked")).to_have_count(2, timeout=PATIENCE)


def test_a_question_is_seen_after_a_card_was_opened(screen: Any) -> None:
    screen.open()
    screen.page.set_viewport_size({"width": 1280, "height": 420})
    screen.ask("Hello")
    screen.wait(".qb-footer")
    screen.page.locator(".qb-card summary").first.click()
    screen.ask("Send it")
    question = screen.wait(".qb-question", 2).last
    expect(question).to_be_in_viewport(timeout=PATIENCE)


def test_files_dropped_anywhere_go_with_the_question(screen: Any) -> None:
    screen.open()
    for where, name in (("#qb-turns", "a.csv"), ("#qb-side", "b.csv"), ("body", "c.csv")):
        veiled, opened, veil_stays = screen.page.evaluate(DROP, [where, name])
        assert veiled
        assert not opened, "the browser would open the file"
        assert not veil_stays
        screen.page.locator("#qb-attached .qb-file", has_text=name).wait_for(timeout=PATIENCE)
    screen.wait("#qb-attached .qb-file", 3)


@pytest.mark.parametrize("screen", [{}, {"width": 390}], indirect=True)
def test_the_export_menu_is_whole(screen: Any) -> None:
    screen.open()
    if screen.page.viewport_size["width"] < 760:
        screen.page.click(".sidebar .toggle-button")
    screen.page.click("#qb-export")
    for link in screen.wait("#qb-export-menu a", 8).all():
        seen = link.evaluate(
            """link => { const box = link.getBoundingClientRect();
            return [[box.left + 9, box.top + 9], [box.right - 9, box.bottom - 9]].every(
              ([x, y]) => document.elementFromPoint(x, y) === link); }"""
        )
        assert seen, "something clips or covers it"
    screen.page.keyboard.press("Escape")
    screen.wait("#qb-export-menu", 0)


def test_undo_gives_the_text_back_and_can_be_taken_back(screen: Any) -> None:
    screen.open()
    screen.ask("Hello")
    screen.wait(".qb-footer")
    screen.page.click("[data-action=undo]")
    box = screen.page.locator("#qb-message textarea")
    expect(box).to_have_value("Hello", timeout=PATIENCE)
    screen.wait("#qb-undone:visible")
    screen.page.reload()
    expect(box).to_have_value("Hello", timeout=PATIENCE)
    screen.page.click("#qb-undone [data-action=show]")
    screen.wait(".qb-footer")
    expect(box).to_have_value("", timeout=PATIENCE)
    screen.wait("#qb-undone[hidden]")


def test_undo_before_the_box_is_emptied_of_what_was_sent(screen: Any) -> None:
    screen.open()
    gate = Gate(screen.page, "**/run/predict*", replies=True)
    screen.ask("Hello")
    screen.wait(".qb-footer")  # the answer comes by another way, and may be quicker
    screen.page.click("[data-action=undo]")
    screen.wait("#qb-undone:visible")
    box = screen.page.locator("#qb-message textarea")
    screen.page.evaluate(
        """() => { window.values = [];
        document.addEventListener("input", (event) => window.values.push(event.target.value)); }"""
    )
    gate.open()
    screen.page.wait_for_function("() => window.values.includes('Hello')", timeout=PATIENCE)
    expect(box).to_have_value("Hello", timeout=PATIENCE)
    screen.page.reload()
    expect(box).to_have_value("Hello", timeout=PATIENCE)


def test_messages_wait_for_a_running_answer(screen: Any) -> None:
    screen.open()
    screen.ask("Hello")
    screen.wait(".qb-footer")
    screen.ask("Wait")
    screen.wait(".qb-card.running")
    for text in ("First", "Stumble", "Third"):
        screen.ask(text)
        screen.page.locator("#qb-queue li", has_text=text).wait_for(timeout=PATIENCE)
    screen.page.reload()
    queue = screen.page.locator("#qb-queue li")
    expect(queue).to_have_count(3, timeout=PATIENCE)
    queue.first.locator("[data-queue=drop]").click()
    expect(queue).to_have_count(2, timeout=PATIENCE)
    box = screen.page.locator("#qb-message textarea")
    queue.last.locator("[data-queue=edit]").click()
    expect(box).to_have_value("Third", timeout=PATIENCE)
    box.fill("")
    send = screen.page.locator("#qb-message .submit-button")
    expect(send).to_have_attribute("aria-label", "Stop the answer", timeout=PATIENCE)
    queue.locator("[data-queue=now]").click()
    screen.wait(".qb-card.cancelled")
    screen.wait("#qb-queue[hidden]", 1)
    expect(screen.page.locator(".qb-question").last).to_contain_text("Stumble", timeout=PATIENCE)
    screen.wait("#qb-status[hidden]")


def test_send_stops_while_nothing_is_written(screen: Any) -> None:
    screen.open()
    screen.ask("Hello")
    screen.wait(".qb-footer")
    screen.ask("Wait")
    screen.wait(".qb-card.running")
    send = screen.page.locator("#qb-message .submit-button")
    expect(send).to_have_attribute("aria-label", "Stop the answer", timeout=PATIENCE)
    screen.page.locator("#qb-message textarea").fill("Next")
    expect(send).to_have_attribute("aria-label", "Send", timeout=PATIENCE)
    screen.page.locator("#qb-message textarea").fill("")
    send.click()
    screen.wait(".qb-card.cancelled")
    expect(send).to_have_attribute("aria-label", "Send", timeout=PATIENCE)


def test_drafts_stay_with_their_conversations(screen: Any) -> None:
    screen.open()
    screen.ask("Hello")
    screen.wait(".qb-footer")
    box = screen.page.locator("#qb-message textarea")
    box.fill("half a thought")
    screen.page.click("#qb-new")
    expect(box).to_have_value("", timeout=PATIENCE)
    box.fill("another")
    screen.page.click(".qb-session-open")
    expect(box).to_have_value("half a thought", timeout=PATIENCE)
    screen.page.reload()
    expect(box).to_have_value("half a thought", timeout=PATIENCE)
    box.fill("")
    box.press("ArrowUp")
    expect(screen.page.locator(".qb-edit")).to_have_value("Hello", timeout=PATIENCE)


def test_numbers_in_an_answer_open_the_passages_they_cite(screen: Any) -> None:
    screen.open()
    file = {"name": "report.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4"}
    screen.page.set_input_files("#qb-message input[type=file]", file)
    screen.wait("#qb-attached .qb-file")
    screen.ask("Find it")
    screen.wait(".qb-footer")
    cited = screen.page.locator(".qb-answer .qb-text .qb-cite")
    expect(cited).to_have_text(["2", "1"], timeout=PATIENCE)
    pages = cited.evaluate_all("all => all.map(one => [one.dataset.file, one.dataset.page])")
    assert pages == [["report.pdf", "3"], ["report.pdf", "2"]]
    assert "[7]" in screen.page.inner_text(".qb-answer .qb-text >> nth=-1")


def test_a_line_about_a_retry_goes_when_the_answer_comes(screen: Any) -> None:
    screen.open()
    screen.ask("Stumble")
    screen.page.locator(".qb-note", has_text="trying again").wait_for(timeout=PATIENCE)
    assert "asked again 1×" in screen.wait(".qb-footer").inner_text()
    screen.wait(".qb-note", 0)


def test_a_failure_offers_what_helps(screen: Any) -> None:
    screen.open()
    screen.ask("Fail")
    screen.wait(".qb-failure [data-settings]").click()
    expect(screen.page.locator("#qb-check")).to_be_visible(timeout=PATIENCE)
    screen.page.click(".qb-failure [data-action=retry]")
    expect(screen.page.locator(".qb-version")).to_have_text("2/2", timeout=PATIENCE)


@pytest.mark.parametrize("screen", [{"width": 390}], indirect=True)
def test_a_written_out_answer_is_readable_on_a_phone(screen: Any) -> None:
    screen.open()
    screen.ask("Write it out")
    screen.wait(".qb-footer")
    formulas = screen.page.locator(".qb-text math")
    expect(formulas).to_have_count(3)
    heights = formulas.evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    assert heights[2] > 1.5 * heights[0] > 0, "the fraction is as low as a line"
    expect(screen.page.locator(".qb-answer")).to_contain_text("costs $5 here")
    head = screen.page.locator(".qb-table th").nth(1)
    cell = screen.page.locator(".qb-table td").first
    assert cell.bounding_box()["height"] < 60, "a word is broken by letters"
    assert head.bounding_box()["width"] > 60
    wide = "one => one.scrollWidth > one.clientWidth && one.clientWidth <= 390"
    assert screen.page.locator(".qb-table").evaluate(wide), "the table does not scroll by itself"
    assert screen.page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(screen.page.locator(".qb-task")).to_have_count(2)
    colours = screen.page.locator(".qb-code code span").evaluate_all(
        "all => [...new Set(all.map(one => getComputedStyle(one).color))]"
    )
    assert len(colours) >= 3
    note = screen.page.locator(".qb-text a[href^='#']").first
    assert screen.page.locator(note.get_attribute("href")).count() == 1


def test_a_figure_is_shown_large(screen: Any) -> None:
    screen.open()
    screen.ask("Hello")
    screen.wait(".qb-footer")
    screen.page.click(".qb-text .qb-enlarge")
    image = screen.wait("#qb-lightbox[open] img")
    before = image.bounding_box()["width"]
    screen.page.click("#qb-lightbox [aria-label=Larger]")
    assert image.bounding_box()["width"] > before
    assert screen.page.get_attribute("#qb-lightbox a", "href").endswith("drawing.png")
    screen.page.keyboard.press("Escape")
    screen.wait("#qb-lightbox", 0)


def test_diagrams_are_pictures_in_which_nothing_runs(screen: Any) -> None:
    pytest.importorskip("mmdr")
    screen.open()
    screen.ask("Sketch it")
    screen.wait(".qb-footer")
    expect(screen.page.locator(".qb-text .qb-drawn")).to_have_count(2, timeout=PATIENCE)
    widths = "images => images.map((image) => image.naturalWidth)"
    assert all(screen.page.locator(".qb-text .qb-drawn").evaluate_all(widths))
    expect(screen.page.locator(".qb-code .qb-panel-note")).to_contain_text("cannot be drawn")
    source = screen.page.locator("details.qb-source")
    expect(source.locator("pre")).to_be_hidden()
    source.locator("summary").click()
    expect(source.locator("pre")).to_contain_text("onerror")
    assert "owned" not in screen.page.title()


def test_new_chat_on_a_slow_server_is_where_the_question_goes(screen: Any) -> None:
    gate = Gate(screen.page, "**/qb/sessions")
    screen.page.goto(screen.url)
    screen.page.click("#qb-new")
    screen.page.wait_for_function("window.qwenbelt.session")
    chosen = screen.page.evaluate("window.qwenbelt.session")
    gate.open()
    screen.ask("Hello")
    screen.wait(".qb-footer")
    assert screen.page.evaluate("window.qwenbelt.session") == chosen


def test_a_question_asked_before_a_conversation_is_there_waits_for_it(screen: Any) -> None:
    gate = Gate(screen.page, "**/qb/sessions")
    screen.page.goto(screen.url)
    screen.page.wait_for_selector("#qb-message textarea")
    screen.ask("Hello")
    gate.open()
    screen.wait(".qb-footer")


@pytest.mark.parametrize("screen", [{"width": 390}], indirect=True)
def test_a_phone_shows_the_conversation_and_not_the_side_bar(screen: Any) -> None:
    screen.open()
    screen.ask("Hello")
    screen.wait(".qb-footer")
    arrow = screen.page.locator(".sidebar .toggle-button")
    top = screen.page.locator("#qb-scroll").bounding_box()["y"]
    assert arrow.bounding_box()["y"] + arrow.bounding_box()["height"] <= top + 1
    arrow.click()
    screen.page.click(".qb-session-open")
    screen.wait(".sidebar:not(.open)")
    arrow.click()
    screen.page.click("#qb-new")
    screen.wait(".sidebar:not(.open)")


def test_lanes_stay_readable_in_a_narrow_box(screen: Any) -> None:
    screen.open()
    screen.ask("Hello")
    screen.wait(".qb-footer")
    for width in (900, 300, 200):
        screen.page.evaluate(
            "width => { document.querySelector('.qb-lanes').style.width = `${width}px`; }", width
        )
        tracks = screen.page.locator(".qb-lane:not(.qb-axis) .qb-track").evaluate_all(
            "all => all.map(one => one.offsetWidth)"
        )
        assert min(tracks) > 0.3 * width, f"the bars have no room in {width} pixels: {tracks}"


def test_tools_are_chosen_by_what_they_are_for(screen: Any) -> None:
    screen.open()
    tools_of(screen)
    screen.page.locator("#qb-presets label", has_text="Web").click()
    checked = screen.page.locator(f"{TOOLS}:checked")
    expect(checked).to_have_count(3, timeout=PATIENCE)
    chips = screen.page.locator("[data-chip=tools]")
    expect(chips).to_have_text("3 tools", timeout=PATIENCE)
    screen.page.reload()
    tools_of(screen)
    expect(checked).to_have_count(3, timeout=PATIENCE)


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory, running_program: Any) -> Iterator[Any]:
    """The chat of somebody who has no key, and on whose machine no server answers."""
    folder = tmp_path_factory.mktemp("newcomer")
    nothing = {f"{name}_BASE_URL": "http://127.0.0.1:9/v1" for name in LOCAL}
    words = ["-c", "from qwenbelt.apps.cli import main; main()", "gui", "--port", "0"]
    skill = folder / "skills" / "tidy-notes" / "SKILL.md"
    skill.parent.mkdir(parents=True)
    skill.write_text("---\nname: tidy-notes\ndescription: Tidies notes.\n---\nTidy them.\n")
    server = Path(__file__).parents[1] / "mcp" / "sdk_server.py"
    notes = {"command": sys.executable, "args": [str(server), "stdio"]}
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": {"notes": notes}}))
    words += ["--mcp", str(folder / "mcp.json"), "--skills", str(folder / "skills")]
    home = {"XDG_CONFIG_HOME": str(folder), "HOME": str(folder), "DASHSCOPE_API_KEY": ""}
    with running_program(*words, QWENBELT_WORKSPACE=str(folder), **home, **nothing) as program:
        yield program


def test_the_first_five_minutes(newcomer: Any, chromium: Any) -> None:
    context = chromium.new_context(locale="en-US", viewport={"width": 1024, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(newcomer.url)
    expect(page.locator("#qb-start h2")).to_have_text("Choose what answers", timeout=PATIENCE)
    expect(page.locator("[data-chip=model]")).to_have_text("no model yet", timeout=PATIENCE)
    assert page.get_attribute("#qb-key", "type") == "password"
    page.click(".qb-demo-play")
    expect(page.locator("#qb-demo")).to_contain_text("written in advance", timeout=PATIENCE)
    page.wait_for_selector(".qb-card")
    assert "eia-923" in page.inner_text(".qb-question .qb-files")
    page.click("#qb-stop")
    page.wait_for_selector("#qb-status", state="hidden")
    page.click("#qb-new")
    page.fill("#qb-key", "sk-of-a-test-1234")
    page.evaluate("() => window.qwenbelt.look()")  # an answer that comes while one types
    expect(page.locator("#qb-key")).to_have_value("sk-of-a-test-1234")
    expect(page.locator("#qb-key")).to_be_focused()
    page.click("#qb-start [type=submit]")
    expect(page.locator("[data-chip=model]")).to_have_text("qwen-plus", timeout=PATIENCE)
    expect(page.locator("#qb-key")).to_have_count(0, timeout=PATIENCE)
    assert "sk-of-a-test" not in page.content()
    context.close()


def test_what_can_be_named_is_offered_while_one_writes(newcomer: Any, chromium: Any) -> None:
    context = chromium.new_context(locale="en-US", viewport={"width": 1024, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(newcomer.url)
    page.wait_for_selector("#qb-welcome:not([hidden])")
    file = {"name": "sizes.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2\n"}
    page.set_input_files("#qb-message input[type=file]", file)
    box, options = page.locator("#qb-message textarea"), page.locator("#qb-menu [role=option]")
    box.press_sequentially("/")
    expect(options.filter(has_text="/tidy-notes")).to_contain_text("Tidies notes.")
    expect(options.first).to_have_attribute("aria-selected", "true")
    expect(box).to_have_attribute("aria-activedescendant", "qb-menu-0")
    box.press_sequentially("notes:re")
    expect(options).to_have_count(1)
    box.press("Enter")
    expect(box).to_have_value("/notes:review code=")
    box.press_sequentially("x=1")
    expect(box).to_have_value("/notes:review code=x=1")
    box.press("Enter")  # the server fills its prompt in, and the file goes along
    asked = page.locator(".qb-question-text")
    expect(asked).to_have_text("Review in a kind style: x=1", timeout=PATIENCE)
    expect(page.locator("#qb-status")).to_be_hidden(timeout=PATIENCE)
    box.press_sequentially("/")
    options.filter(has_text="Keep the last question").click()
    page.locator(".qb-toast").wait_for()
    box.press_sequentially("Compare @siz")
    expect(options).to_have_text(["sizes.csvfile"])
    box.press("Tab")
    expect(box).to_have_value("Compare sizes.csv ")
    expect(page.locator("#qb-carried")).to_contain_text("sizes.csv")
    box.press_sequentially("@today")
    expect(options).to_have_count(1)
    box.press("Enter")
    expect(box).to_have_value("Compare sizes.csv @notes:note://today ")
    box.press("Enter")
    expect(page.locator(".qb-question .qb-file")).to_have_count(3, timeout=PATIENCE)
    expect(page.locator("#qb-status")).to_be_hidden(timeout=PATIENCE)
    box.press_sequentially("/review")
    expect(options).to_have_count(2)
    box.press("Shift+Delete")
    expect(options).to_have_count(1)
    box.press("Escape")
    expect(page.locator("#qb-menu")).to_have_count(0)
    context.close()


@pytest.mark.parametrize("screen", [{"width": 1024}, {"width": 390}], indirect=True)
def test_the_side_pane_shows_files_data_and_times(screen: Any) -> None:
    screen.open()
    table = b"name,size\n" + b"".join(b"row %d,%d\n" % (n, n) for n in range(120))
    file = {"name": "sizes.csv", "mimeType": "text/csv", "buffer": table}
    screen.page.set_input_files("#qb-message input[type=file]", file)
    screen.wait("#qb-attached .qb-file")
    screen.ask("Hello")
    screen.wait(".qb-footer")
    screen.page.click("#qb-desk")
    names = screen.page.locator("#qb-panel li .qb-desk-name")
    expect(names).to_have_text(["drawing.png", "sizes.csv"], timeout=PATIENCE)
    expect(screen.page.locator("#qb-panel li").first).to_contain_text("draw", timeout=PATIENCE)
    with screen.page.expect_download() as download:
        screen.page.click("#qb-panel a >> nth=0")
    assert download.value.suggested_filename == "files.zip"
    tabs = screen.wait(".qb-tab", 5)
    tabs.nth(3).click()
    screen.page.click(".qb-desk-body .qb-button")
    screen.wait(".qb-grid-box td", 100)
    size = screen.page.locator(".qb-grid-box th").nth(1)
    expect(size).to_contain_text("0 to 119, mean 59.5, 0 missing", timeout=PATIENCE)
    for first in ("row 0", "row 119"):
        screen.page.locator(".qb-grid-box th button").nth(1).click()
        cell = screen.page.locator(".qb-grid-box td").first
        expect(cell).to_have_text(first, timeout=PATIENCE)
    screen.page.fill(".qb-desk-tools [type=search]", "row 7")
    screen.page.keyboard.press("Enter")
    expect(screen.page.locator(".qb-grid-box tbody tr")).to_have_count(11, timeout=PATIENCE)
    tabs.nth(4).click()
    expect(screen.page.locator(".qb-trace p").first).to_contain_text("the longest call look")
    width = screen.page.evaluate("document.documentElement.scrollWidth")
    assert width <= screen.page.viewport_size["width"]
    with screen.page.context.expect_page() as opened:
        screen.page.click(".qb-desk-body [href$='trace.html']")
    expect(opened.value.locator(".trace-words").first).to_contain_text("the longest call look")
    opened.value.close()


def test_an_answer_names_its_model_and_is_copied_as_it_was_written(screen: Any) -> None:
    screen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    screen.open()
    screen.ask("Stumble")
    assert screen.wait(".qb-footer").get_attribute("title") is not None
    expect(screen.page.locator(".qb-footer")).to_contain_text("scripted")
    screen.page.click("[data-action=copy_answer]")
    screen.page.locator(".qb-toast", has_text="Copied").wait_for(timeout=PATIENCE)
    copied = screen.page.evaluate("navigator.clipboard.readText()")
    assert copied == "It went well in the end."
