"""Login, host names and headers, in front of any application."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message

from qwenbelt.apps.bodies import BodyRefused, Room, read_body
from qwenbelt.apps.gui.access.guards import Guard, read_accounts
from qwenbelt.apps.gui.access.login_attempts import LoginAttempts
from qwenbelt.core.errors import ConfigError
from qwenbelt.core.urls import is_loopback


async def who(request: Request) -> JSONResponse:
    return JSONResponse({"user": request.state.user})


APP = Starlette(routes=[Route("/who", who, methods=["GET", "POST"])])


def browser(accounts: dict[str, str], loopback: bool = True) -> TestClient:
    url = "http://127.0.0.1:7860" if loopback else "http://chat.example"
    return TestClient(Guard(APP, accounts, loopback), url, follow_redirects=False)


def test_login_and_logout() -> None:
    http = browser({"anna": "correct horse"})
    page = http.get("/who", headers={"accept": "text/html"})
    assert page.headers["location"] == "/login"
    assert http.get("/who").status_code == 401
    assert "登录" in http.get("/login", headers={"accept-language": "zh"}).text
    for user, password in (("anna", "wrong"), ("anna", ""), ("ben", "correct horse"), ("", "")):
        data = {"user": user, "password": password}
        assert http.post("/login", data=data).status_code == 403
    right = http.post("/login", data={"user": "anna", "password": "correct horse"})
    assert right.status_code == 303
    assert "HttpOnly" in right.headers["set-cookie"]
    assert http.get("/who").json() == {"user": "anna"}
    http.get("/logout")
    assert http.get("/who").status_code == 401


def test_guessing_is_slowed_down() -> None:
    http = browser({"anna": "correct horse"})
    codes = [
        http.post("/login", data={"user": "anna", "password": "wrong"}).status_code
        for _ in range(12)
    ]
    assert codes[-1] == 429


def test_without_accounts_each_browser_is_a_user() -> None:
    anna, ben = browser({}), browser({})
    assert anna.get("/who").json() == anna.get("/who").json()
    assert anna.get("/who").json() != ben.get("/who").json()
    forged = browser({})
    forged.cookies.set("qb_user", "../../anna")
    assert ".." not in forged.get("/who").json()["user"]


def test_only_loopback_names_on_loopback() -> None:
    http = browser({})
    assert http.get("/who", headers={"host": "evil.example:7860"}).status_code == 421
    for host in ("localhost:7860", "127.0.0.1", "[::1]:7860"):
        assert http.get("/who", headers={"host": host}).status_code == 200
    assert browser({"a": "12345678"}, loopback=False).get("/who").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_other_sites_cannot_act(headers: dict[str, str]) -> None:
    assert browser({}).post("/who", headers=headers).status_code == 403


def test_the_same_site_can_act() -> None:
    headers = {"origin": "http://127.0.0.1:7860", "sec-fetch-site": "same-origin"}
    assert browser({}).post("/who", headers=headers).status_code == 200


def test_headers_fence_the_page_in() -> None:
    headers = browser({}).get("/who").headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_loopback_addresses() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "localhost", "::1", "[::1]", "127.9.9.9")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.2", "example.org", "localhost.x")))


def test_accounts_from_words_and_a_file(tmp_path: Path) -> None:
    file = tmp_path / "accounts"
    file.write_text("# people\nben:long enough\n\n", encoding="utf-8")
    found = read_accounts(("anna:correct:horse",), str(file))
    assert found == {"anna": "correct:horse", "ben": "long enough"}
    for wrong in ("anna", "anna:short", ":12345678"):
        with pytest.raises(ConfigError, match="USER:PASSWORD"):
            read_accounts((wrong,))
    with pytest.raises(ConfigError, match="missing"):
        read_accounts((), str(tmp_path / "missing"))


def test_who_guesses_shuts_nobody_else_out() -> None:
    now = 0.0
    attempts = LoginAttempts(lambda: now)
    for _ in range(12):
        attempts.failed("anna", "10.0.0.1")
    assert attempts.wait("anna", "10.0.0.1") > attempts.wait("ben", "10.0.0.1") == 0
    assert attempts.wait("anna", "10.0.0.2") == 0
    first = attempts.wait("anna", "10.0.0.1")
    attempts.failed("anna", "10.0.0.1")
    assert attempts.wait("anna", "10.0.0.1") == 2 * first
    now = 3600.0
    assert attempts.wait("anna", "10.0.0.1") == 0
    for number in range(20):
        attempts.failed(f"user{number}", "10.0.0.3")
    assert attempts.wait("another", "10.0.0.3") > 0


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"--B\r\n" + b"x" * 9000, "multipart/form-data; boundary=B", 415),
        (b"user=" + b"x" * 9000, "application/x-www-form-urlencoded", 413),
        (b"&".join([b"a=b"] * 9000), "application/x-www-form-urlencoded", 413),
        (b"\xff\xfe", "application/x-www-form-urlencoded", 403),
    ],
)
def test_a_stranger_sends_little(content: bytes, kind: str, status: int) -> None:
    http = browser({"anna": "correct horse"})
    got = http.post("/login", content=iter([content]), headers={"content-type": kind})
    assert got.status_code == status


def messages(*pieces: bytes | None) -> Any:
    """What a client sends; None stands for a client that says nothing more."""
    waiting = list(pieces)

    async def receive() -> Message:
        piece = waiting.pop(0)
        if piece is None:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": piece, "more_body": bool(waiting)}

    return receive


@pytest.mark.parametrize(
    ("pieces", "status"), [((b"x" * 600, b"x" * 600), 413), ((b"x", None, b"y"), 408)]
)
def test_bodies_have_an_end(pieces: tuple[bytes | None, ...], status: int) -> None:
    scope = {"type": "http", "method": "POST", "headers": []}
    request = Request(scope, messages(*pieces))
    with pytest.raises(BodyRefused) as refused:
        asyncio.run(read_body(request, 1000, 0.01))
    assert refused.value.status == status


def test_room_for_bodies_is_given_back() -> None:
    room = Room(10)
    with room.taking() as take:
        take(8)
        with pytest.raises(BodyRefused), room.taking() as other:
            other(8)
    with room.taking() as take:
        take(10)


def test_a_load_balancer_asks_without_a_login() -> None:
    guard = Guard(APP, {"anna": "correct horse"}, True)
    http = TestClient(guard, "http://127.0.0.1:7860")
    assert http.get("/readyz").status_code == 200

    async def away() -> bool:
        return False

    guard.ready = away
    assert http.get("/readyz").status_code == 503
    assert http.get("/healthz").status_code == 200
    assert http.get("/who").status_code == 401
