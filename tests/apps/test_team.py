"""Users of one server: who a proxy says they are, what they may use, and how much."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from qwenbelt.apps.agent_choice import AgentChoice
from qwenbelt.apps.gui.access.proxy_login import ProxyLogin
from qwenbelt.apps.gui.access.team import TeamRules, save_rules
from qwenbelt.apps.gui.asking import TurnStarter
from qwenbelt.apps.gui.hub import SessionRegistry
from qwenbelt.apps.gui.kept.store import ChatStore
from qwenbelt.apps.gui.strings import PageError
from qwenbelt.core.errors import ConfigError


def request_from(address: str, *names: str) -> Request:
    headers = [(b"x-user", name.encode("latin-1")) for name in names]
    return Request({"type": "http", "headers": headers, "client": (address, 1)})


@pytest.mark.parametrize(
    ("address", "names", "user"),
    [
        ("10.0.0.7", ["ann"], "ann"),
        ("10.0.0.7", [], None),
        ("10.0.0.7", ["ann", "bob"], None),  # one of them is not the proxy's
        ("10.0.0.7", ["  "], None),
        ("10.0.0.7", ["a\tb"], None),
        ("10.0.1.7", ["ann"], None),
        ("::1", ["ann"], None),
        ("not an address", ["ann"], None),
    ],
)
def test_only_a_trusted_proxy_names_the_user(
    address: str, names: list[str], user: str | None
) -> None:
    login = ProxyLogin.read("X-User", ["10.0.0.0/24"])
    assert login.user(request_from(address, *names)) == user


@pytest.mark.parametrize(
    ("header", "proxies"), [("X User", ["127.0.0.1"]), ("X-User", []), ("X-User", ["nowhere"])]
)
def test_a_login_that_cannot_hold_is_refused(header: str, proxies: list[str]) -> None:
    with pytest.raises(ConfigError):
        ProxyLogin.read(header, proxies)


@pytest.fixture
def asker(tmp_path: Path) -> TurnStarter:
    hub = SessionRegistry(ChatStore(":memory:"), tmp_path)
    return TurnStarter(hub, AgentChoice(endpoint="ollama:a"), None, free_endpoints=False)  # type: ignore[arg-type]


def rules(**more: Any) -> dict[str, Any]:
    return {"endpoints": [], "tools": None, "quotas": {}, **more}


def test_quotas_end_a_month_and_not_a_life(asker: TurnStarter) -> None:
    store = asker.hub.store
    save_rules(store, rules(quotas={"": {"tokens": 100}, "ann": {"cost": 2.5}}), [])
    kept = TeamRules.kept(store)
    store.add_usage("bob", 99, 9.0)
    kept.check(store, "bob")
    store.add_usage("bob", 1, 0.0)
    with pytest.raises(PageError, match="100 of 100"):
        kept.check(store, "bob")
    session = asker.hub.open("bob", store.new_session("bob").id)
    with pytest.raises(PageError, match="tokens of this month"):
        asker.ask(session, "Hello", [], None)
    store.add_usage("ann", 10**6, 2.4)
    kept.check(store, "ann")
    store.add_usage("ann", 0, 0.2)
    with pytest.raises(PageError, match="budget"):
        kept.check(store, "ann")
    store._run("UPDATE usage SET month = '1999-01'")
    kept.check(store, "ann")
    assert [row["user"] for row in store.all_usage()] == ["bob", "ann"]


def test_only_allowed_tools_and_endpoints_are_chosen(asker: TurnStarter) -> None:
    store = asker.hub.store
    known = ["plot", "code_interpreter", "document_search"]
    save_rules(store, rules(endpoints=[" ollama:b ", ""], tools=["plot", "nosuch"]), known)
    choice = asker.choice("ann")
    assert (choice.tools, choice.code_mode) == (("plot",), False)
    store.change_setting("ann", "endpoint", lambda *_: "ollama:b")
    assert asker.choice("ann").endpoint == "ollama:b"
    store.change_setting("ann", "endpoint", lambda *_: "ollama:elsewhere")
    assert asker.choice("ann").endpoint == "ollama:a"
    session = asker.hub.open("ann", store.new_session("ann").id)
    with pytest.raises(PageError):
        asker.choose_here(session, {"endpoint": "ollama:elsewhere"})
    with pytest.raises(PageError):
        asker.code_tool(session)


@pytest.mark.parametrize(
    "body",
    [
        {},
        rules(endpoints="ollama:a"),
        rules(tools=[1]),
        rules(quotas=[]),
        rules(quotas={"ann": {"tokens": float("nan")}}),
        rules(quotas={"ann": {"cost": -1}}),
        rules(quotas={"ann": {"cost": True}}),
    ],
)
def test_rules_of_another_form_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(PageError):
        save_rules(ChatStore(":memory:"), body, [])


# -- in the browser -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def team_server(tmp_path_factory: pytest.TempPathFactory, running_program: Any) -> Iterator[Any]:
    pytest.importorskip("gradio")
    folder = tmp_path_factory.mktemp("team")
    words = ["-c", "from qwenbelt.apps.cli import main; main()", "gui", "--port", "0"]
    words += ["--auth-header", "X-User", "--trusted-proxy", "127.0.0.1", "--admin", "ann"]
    home = {"XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
    with running_program(*words, QWENBELT_WORKSPACE=str(folder), **home) as program:
        yield program


@pytest.mark.chromium
@pytest.mark.timeout(900)
def test_an_administrator_sets_what_others_may(team_server: Any, chromium: Any) -> None:
    expect = pytest.importorskip("playwright.sync_api").expect
    pages = {}
    for user in ("", "ann", "bob"):
        headers = {"X-User": user, "Accept-Language": "en"} if user else {}
        context = chromium.new_context(extra_http_headers=headers)
        context.set_default_timeout(240_000)
        pages[user] = context.new_page()
    assert pages[""].goto(team_server.url).status == 401
    assert pages["bob"].goto(f"{team_server.url}/qb/admin").status == 404
    page = pages["ann"]
    page.goto(f"{team_server.url}/qb/admin")
    page.get_by_label("Endpoints to choose from, one a line").fill("ollama:shared")
    page.get_by_label("Allow only these").check()
    page.get_by_label("code_interpreter").uncheck()
    page.get_by_label("Tokens: everybody else").fill("1000")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#admin-told")).to_have_text("Saved.")
    page.reload()
    expect(page.get_by_label("code_interpreter")).not_to_be_checked()
    expect(page.get_by_label("Tokens: everybody else")).to_have_value("1000")
    told = pages["bob"].goto(f"{team_server.url}/qb/start").json()
    assert told["endpoints"] == ["ollama:shared"]
    for one in pages.values():
        one.context.close()
