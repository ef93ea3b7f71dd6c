"""Living with the chat: what is found again, thought of, passed on, and answered by whom."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(900)]
playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
PATIENCE = 240_000  # milliseconds


def taken(screen: Any, form: str) -> str:
    screen.page.click("#qb-export")
    with screen.page.expect_download(timeout=PATIENCE) as download:
        screen.page.get_by_role("link", name=form, exact=True).click()
    return str(download.value.path().read_text(encoding="utf-8"))


def test_answers_are_rated_compared_and_passed_on(screen: Any) -> None:
    screen.open()
    screen.ask("Stumble")
    screen.wait(".qb-footer")
    assert screen.page.locator(".qb-question .qb-sr").inner_text().strip() == "You asked:"
    when = screen.page.locator(".qb-question time")
    assert when.get_attribute("datetime").endswith("+00:00")
    screen.page.click("[data-action=dislike]")
    screen.page.get_by_label("Why? (kept with it)").fill("too short")
    screen.page.keyboard.press("Enter")
    down = screen.page.locator("[data-action=dislike]")
    expect(down).to_have_attribute("aria-pressed", "true", timeout=PATIENCE)
    screen.page.click("[data-action=retry]")
    expect(screen.page.locator(".qb-version")).to_have_text("2/2", timeout=PATIENCE)
    screen.page.click("[data-action=like]")
    liked = screen.page.locator("[data-action=like]")
    expect(liked).to_have_attribute("aria-pressed", "true", timeout=PATIENCE)
    screen.page.reload()
    expect(liked).to_have_attribute("aria-pressed", "true", timeout=PATIENCE)
    lines = [json.loads(line) for line in taken(screen, "All my ratings (JSONL)").splitlines()]
    rated = {line.get("label"): line for line in lines}
    assert rated[False]["note"] == "too short"
    assert rated[False]["prompt"] == [{"role": "user", "content": "Stumble"}]
    assert {"chosen", "rejected"} <= rated[None].keys()
    screen.page.click("[data-action=versions]")
    columns = screen.page.locator("#qb-versions .qb-version-column")
    expect(columns).to_have_count(2, timeout=PATIENCE)
    expect(columns.first).to_contain_text("It went well in the end.")
    expect(columns.last).to_contain_text("Tokens in")
    columns.first.get_by_role("button", name="▸ 1").click()
    expect(screen.page.locator(".qb-version")).to_have_text("1/2", timeout=PATIENCE)
    page = taken(screen, "HTML file to pass on")
    assert "It went well in the end." in page
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "It went well in the end." in taken(screen, "Report (HTML)")


OTHER = """
conversations:
  - say: Weigh it
    turns:
      - calls: [{look: {seconds: 30, word: other}}]
      - text: Never said.
  - say: Stumble
    turns:
      - calls: [{look: {word: twice}}]
      - text: The other one has **seen** it.
"""


def test_two_models_answer_beside_each_other(screen: Any, chat_server: Any) -> None:
    other = chat_server.folder / "other.yaml"
    other.write_text(OTHER, encoding="utf-8")
    screen.open()
    page, menu = screen.page, screen.page.locator(".qb-choices")
    model = page.locator("[data-chip=model]")

    def compare() -> None:
        model.click()
        menu.get_by_role("menuitem", name="Compare with a second model…").click()
        menu.get_by_role("menuitem", name="Another endpoint…").click()
        page.get_by_label("Compare with a second model").fill(f"scripted:{other}")
        page.keyboard.press("Enter")
        expect(model).to_have_text("scripted ⇄ other.yaml", timeout=PATIENCE)

    compare()
    screen.ask("Weigh it")
    running = screen.wait(".qb-pair-column .qb-card.running", 2)
    page.reload()
    expect(running).to_have_count(2, timeout=PATIENCE)
    heads = page.locator(".qb-pair-head strong")
    expect(heads).to_have_text(["s.yaml", "other.yaml"], timeout=PATIENCE)
    note = page.locator(".qb-pair-head .qb-note")
    expect(note).to_contain_text("Without plot, mail:", timeout=PATIENCE)
    page.click("#qb-stop")
    screen.wait(".qb-pair-column .qb-footer", 2)
    expect(page.locator("#qb-status")).to_be_hidden()
    assert len(list(chat_server.folder.glob("gui/sessions/*/stopped-other.txt"))) == 1

    page.click("#qb-new")
    screen.wait(".qb-pair-column", 0)
    compare()
    screen.ask("Stumble")
    columns = screen.wait(".qb-pair-column", 2)
    screen.wait(".qb-pair-column .qb-footer", 2)
    first, second = (columns.nth(number).bounding_box() for number in (0, 1))
    assert first["y"] == second["y"]
    assert first["x"] + first["width"] < second["x"]
    size = page.viewport_size
    page.set_viewport_size({"width": 390, "height": 800})
    first, second = (columns.nth(number).bounding_box() for number in (0, 1))
    assert first["y"] + first["height"] < second["y"]
    page.set_viewport_size(size)
    page.get_by_role("button", name="Go on with the answer of other.yaml").click()
    aside = screen.wait(".qb-pair-other")
    expect(page.locator(".qb-turn > .qb-answer")).to_contain_text("has seen it", timeout=PATIENCE)
    expect(aside).not_to_have_attribute("open", "")
    aside.locator("summary").first.click()
    expect(aside).to_contain_text("It went well in the end.")
    handed = taken(screen, "HTML file to pass on")
    assert "has <strong>seen</strong> it" in handed
    assert "It went well in the end." in handed


def test_conversations_are_pinned_filed_and_found(screen: Any) -> None:
    screen.open()
    screen.ask("Send it")
    screen.wait("[data-approve=refuse]").click()
    screen.wait(".qb-footer")
    screen.page.click("#qb-new")
    screen.wait(".qb-footer", 0)
    screen.ask("Stumble")
    screen.wait(".qb-footer")
    rows = screen.page.locator(".qb-session")
    expect(rows).to_have_count(2, timeout=PATIENCE)

    def choose(name: str, entry: str) -> None:
        screen.page.get_by_label(f"More: {name}").click()
        screen.page.get_by_role("menuitem", name=entry, exact=True).click()

    heads = screen.page.locator(".qb-day")
    expect(heads).to_have_count(0)
    choose("Send it", "Pin")
    expect(heads).to_have_text(["Pinned", "Today"], timeout=PATIENCE)
    choose("Stumble", "Folder…")
    screen.page.get_by_label("Name of the folder; empty for none").fill("Trials")
    screen.page.keyboard.press("Enter")
    expect(heads).to_have_text(["Pinned", "▸ Trials"], timeout=PATIENCE)
    choose("Send it", "Archive")
    expect(heads).to_have_text(["▸ Trials", "Archive"], timeout=PATIENCE)
    screen.page.fill("#qb-search", "went well")
    expect(rows).to_have_count(1, timeout=PATIENCE)
    expect(rows.locator("small")).to_contain_text("It went well in the end.")


def test_a_conversation_has_a_model_and_tools_of_its_own(screen: Any) -> None:
    screen.open()
    screen.ask("Stumble")
    screen.wait(".qb-footer")
    tools, menu = screen.page.locator("[data-chip=tools]"), screen.page.locator(".qb-choices")
    tools.click()
    expect(menu.get_by_role("menuitemradio").first).to_have_attribute("aria-checked", "true")
    menu.get_by_role("menuitemradio", name="Web: search and read pages").click()
    expect(tools).to_have_text("3 tools", timeout=PATIENCE)
    model = screen.page.locator("[data-chip=model]")
    model.click()
    menu.get_by_role("menuitem", name="Another endpoint…").click()
    field = screen.page.get_by_label("Another endpoint")
    field.fill("ollama:other")
    field.press("Enter")
    expect(model).to_have_text("other", timeout=PATIENCE)
    screen.page.click("#qb-new")
    expect(tools).to_have_text("4 tools", timeout=PATIENCE)
    expect(model).to_have_text("scripted", timeout=PATIENCE)
    screen.page.locator(".qb-session-open", has_text="Stumble").click()
    expect(tools).to_have_text("3 tools", timeout=PATIENCE)
    expect(model).to_have_text("other", timeout=PATIENCE)


def test_the_title_says_when_a_person_is_waited_for(screen: Any) -> None:
    screen.open()
    screen.ask("Send it")
    screen.wait("[data-approve=refuse]")
    expect(screen.page).to_have_title("⚠ waits for you: Send it", timeout=PATIENCE)
    screen.page.click("[data-approve=allow]")
    screen.wait(".qb-footer")
    expect(screen.page).to_have_title("Send it", timeout=PATIENCE)
    manifest = screen.page.evaluate("fetch('/qb/manifest.json').then((reply) => reply.json())")
    assert manifest["display"] == "standalone"
    asked = "Array.from(document.querySelectorAll('link[rel=manifest]'), (link) => link.href)"
    for address in screen.page.evaluate(asked):
        status = screen.page.evaluate("(url) => fetch(url).then((reply) => reply.status)", address)
        assert status == 200, address
    kind = "fetch('/qb/icon.svg').then((reply) => reply.headers.get('content-type'))"
    assert screen.page.evaluate(kind) == "image/svg+xml"
