"""Several tabs of one browser, the back button, and what is being written when things go away."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(900)]
playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
PATIENCE = 240_000  # milliseconds
BOX = "#qb-message textarea"
# Chromium without a window shows all its tabs at once
SEEN = """hidden => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
RESTS = "window.qwenbelt.state.source === null"


def another(screen: Any, question: str) -> Any:
    """Returns a second tab, on the same conversation."""
    page = screen.page.context.new_page()
    page.goto(screen.page.url)
    expect(page.locator(".qb-question")).to_contain_text(question, timeout=PATIENCE)
    return page


def begin(screen: Any, question: str) -> None:
    screen.page.click("#qb-new")
    screen.wait(".qb-turn", 0)
    screen.ask(question)
    screen.wait(".qb-footer")


def test_eight_tabs_do_not_hold_each_other_up(screen: Any) -> None:
    """A browser opens six connections to a server; each tab held two of them."""
    screen.open()
    screen.ask("Stumble")
    screen.wait(".qb-footer")
    pages = [screen.page]
    for _ in range(7):
        pages[-1].evaluate(SEEN, True)
        pages.append(another(screen, "Stumble"))
    pages[0].wait_for_function(RESTS, timeout=PATIENCE)
    last = pages[-1]
    last.fill(BOX, "Hello")
    last.press(BOX, "Enter")
    expect(last.locator(".qb-footer")).to_have_count(2, timeout=PATIENCE)
    pages[0].evaluate(SEEN, False)
    screen.wait(".qb-footer", 2)
    for page in pages[1:]:
        page.close()


def test_what_is_open_and_written_outlasts_a_rest(screen: Any) -> None:
    screen.open()
    screen.ask("Hello")
    screen.wait(".qb-footer")
    screen.page.locator(".qb-card summary").first.click()
    screen.page.click(".qb-question [data-action=edit]")
    screen.page.fill(".qb-edit", "Hello again")
    screen.page.evaluate(SEEN, True)
    screen.page.wait_for_function(RESTS, timeout=PATIENCE)
    screen.page.evaluate("document.querySelector('.qb-turn').dataset.old = 'yes'")
    screen.page.evaluate(SEEN, False)
    screen.wait(".qb-turn:not([data-old])")
    expect(screen.page.locator(".qb-edit")).to_have_value("Hello again", timeout=PATIENCE)
    expect(screen.page.locator(".qb-edit")).to_be_focused(timeout=PATIENCE)
    screen.wait(".qb-card > details[open]")


def test_back_and_forward_lead_through_the_conversations(screen: Any) -> None:
    screen.open()
    screen.ask("Stumble")
    screen.wait(".qb-footer")
    begin(screen, "Hello")
    question = screen.page.locator(".qb-question")
    screen.page.locator(".qb-session-open", has_text="Stumble").click()
    expect(question).to_contain_text("Stumble", timeout=PATIENCE)
    screen.page.go_back()
    expect(question).to_contain_text("Hello", timeout=PATIENCE)
    screen.page.go_back()
    expect(question).to_contain_text("Stumble", timeout=PATIENCE)
    current = screen.page.locator(".qb-session.current")
    expect(current).to_contain_text("Stumble", timeout=PATIENCE)
    screen.page.go_forward()
    expect(question).to_contain_text("Hello", timeout=PATIENCE)


def test_a_conversation_that_is_deleted_in_another_tab(screen: Any) -> None:
    screen.open()
    screen.ask("Stumble")
    screen.wait(".qb-footer")
    other = another(screen, "Stumble")
    begin(screen, "Hello")
    rows = other.locator(".qb-session-open")
    expect(rows).to_have_text(["Hello", "Stumble"], timeout=PATIENCE)
    other.fill(BOX, "half a thought")
    screen.page.get_by_label("Delete: Stumble").click()
    screen.page.click(".qb-session-form [type=submit]")
    expect(other.locator(".qb-toast")).to_contain_text("deleted in another", timeout=PATIENCE)
    expect(other.locator(BOX)).to_have_value("half a thought", timeout=PATIENCE)
    expect(rows).to_have_text(["Hello"], timeout=PATIENCE)
    other.close()


def test_a_conversation_that_is_no_more_is_not_a_lost_connection(screen: Any) -> None:
    screen.open()
    screen.ask("Stumble")
    screen.wait(".qb-footer")
    gone = screen.page.url
    begin(screen, "Hello")
    old = gone.rpartition("=")[2]
    screen.page.evaluate("id => fetch(`/qb/do/${id}/delete`, {method: 'POST', body: '{}'})", old)
    screen.page.go_back()
    note = screen.page.locator(".qb-toast", has_text="deleted in another")
    expect(note).to_have_count(1, timeout=PATIENCE)
    expect(screen.page.locator("#qb-offline")).to_be_hidden(timeout=PATIENCE)
    assert screen.page.url != gone
    screen.errors.clear()  # what else the page asked about it was refused


def test_a_draft_that_the_browser_cannot_keep_is_told_and_sent(screen: Any) -> None:
    screen.open()
    screen.page.locator(BOX).focus()
    write = "text => document.execCommand('insertText', false, text)"
    screen.page.evaluate(write, "Stumble " + "y" * 5_300_000)
    note = screen.page.locator(".qb-toast", has_text="no room to keep this draft")
    expect(note).to_have_count(1, timeout=PATIENCE)
    screen.page.press(BOX, "Enter")
    screen.wait(".qb-footer")
    expect(screen.page.locator(BOX)).to_have_value("", timeout=PATIENCE)
