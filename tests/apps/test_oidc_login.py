"""Login of the chat at an OpenID provider, against a small provider on this machine."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from qwenbelt.apps.gui.access.guards import Guard
from qwenbelt.apps.gui.access.oidc_login import OidcLogin
from qwenbelt.core.errors import ConfigError

pytest.importorskip("authlib")
jwk, jwt = pytest.importorskip("joserfc.jwk"), pytest.importorskip("joserfc.jwt")


class Issuer:
    """A provider at which everybody is let in as `claims` say."""

    def __init__(self) -> None:
        self.key = jwk.ECKey.generate_key("P-256", {"kid": "one"})
        self.signing = self.key
        self.claims: dict[str, Any] = {"email": "ann@example.org", "email_verified": True}
        self.asked: dict[str, str] = {}
        self.header: dict[str, Any] = {"alg": "ES256", "kid": "one"}
        issuer = self

        class Answers(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def tell(self, body: Any, status: int = 200) -> None:
                raw = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def do_GET(self) -> None:
                if self.path == "/keys":
                    self.tell({"keys": [issuer.key.as_dict(private=False)]})
                    return
                places = {"authorization": "authorize", "token": "token"}
                about = {f"{k}_endpoint": f"{issuer.url}/{v}" for k, v in places.items()}
                self.tell({"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys", **about})

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                form = dict(parse_qsl(raw.decode()))
                digest = hashlib.sha256(form["code_verifier"].encode()).digest()
                challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
                if challenge != issuer.asked["code_challenge"] or form["code"] != "fine":
                    self.tell({"error": "invalid_grant"}, 400)
                    return
                self.tell({"access_token": "a", "token_type": "Bearer", "id_token": issuer.token()})

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def token(self) -> str:
        now = int(time.time())
        told = {"iss": self.url, "aud": "chat", "sub": "7", "iat": now, "exp": now + 60}
        told |= {"nonce": self.asked["nonce"], **self.claims}
        return str(jwt.encode(self.header, told, self.signing, algorithms=["ES256", "HS256"]))


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made = Issuer()
    threading.Thread(target=made.server.serve_forever, args=(0.02,), daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


async def whoever(scope: Any, receive: Any, send: Any) -> None:
    user = Request(scope).state.user
    await PlainTextResponse(f"{user} {Request(scope).state.admin}")(scope, receive, send)


def browser(guard: Guard) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(guard),
        base_url="http://127.0.0.1:7860",
        headers={"accept": "text/html"},
    )


def guard_of(issuer: Issuer, **more: Any) -> Guard:
    return Guard(whoever, {}, True, provider=OidcLogin(issuer.url, "chat", **more), admins=["7"])


async def sent_back(person: httpx.AsyncClient, issuer: Issuer) -> httpx.Response:
    """Begins a login, is let in by the provider, and returns what our server then answers."""
    begun = await person.get("/login/begin")
    place = urlsplit(begun.headers["location"])
    issuer.asked = {name: values[0] for name, values in parse_qs(place.query).items()}
    assert issuer.asked["redirect_uri"] == "http://127.0.0.1:7860/login/done"
    assert issuer.asked["code_challenge_method"] == "S256"
    return await person.get(f"/login/done?code=fine&state={issuer.asked['state']}")


def test_a_person_logs_in_and_out_at_the_provider(issuer: Issuer) -> None:
    async def walk() -> None:
        async with browser(guard_of(issuer)) as person:
            sent = await person.get("/en/")
            assert (sent.status_code, sent.headers["location"]) == (303, "/login")
            page = await person.get("/login")
            assert issuer.url.removeprefix("http://") in page.text
            assert "/login/begin" in page.text
            done = await sent_back(person, issuer)
            assert (done.status_code, done.headers["location"]) == (303, "/")
            assert (await person.get("/en/")).text == "ann@example.org False"
            again = f"/login/done?code=fine&state={issuer.asked['state']}"
            assert (await person.get(again)).status_code == 403  # a login ends once
            await person.get("/logout")
            assert (await person.get("/en/")).status_code == 303

    asyncio.run(walk())


def test_another_claim_names_the_user_and_administrators(issuer: Issuer) -> None:
    async def walk() -> None:
        async with browser(guard_of(issuer, claim="sub", secret="quiet-secret")) as person:
            await sent_back(person, issuer)
            assert (await person.get("/en/")).text == "7 True"

    asyncio.run(walk())


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "other"},
        {"aud": "other"},
        {"iss": "https://other.example"},
        {"exp": 1},
        {"email_verified": False},
        {"email": ""},
        {"email": "a\nb"},
    ],
)
def test_a_token_that_is_not_for_this_login_lets_nobody_in(
    issuer: Issuer, claims: dict[str, Any]
) -> None:
    issuer.claims |= claims
    assert asyncio.run(refused(issuer)) == 403


@pytest.mark.parametrize("kind", ["another key", "none", "symmetric"])
def test_a_token_of_another_hand_lets_nobody_in(issuer: Issuer, kind: str) -> None:
    if kind == "another key":
        issuer.signing = jwk.ECKey.generate_key("P-256", {"kid": "one"})
    elif kind == "symmetric":
        issuer.signing = jwk.OctKey.import_key("secret-of-the-client-that-many-may-know")
        issuer.header = {"alg": "HS256"}
    else:
        signed = issuer.token

        def unsigned() -> str:
            issuer.asked.setdefault("nonce", "")
            head = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
            return f"{head}.{signed().split('.')[1]}."

        issuer.token = unsigned  # type: ignore[method-assign]
    assert asyncio.run(refused(issuer)) == 403


async def refused(issuer: Issuer) -> int:
    async with browser(guard_of(issuer)) as person:
        answer = await sent_back(person, issuer)
        assert (await person.get("/en/")).status_code == 303  # not logged in
        return answer.status_code


def test_a_login_belongs_to_the_browser_that_began_it(issuer: Issuer) -> None:
    async def walk() -> None:
        guard = guard_of(issuer)
        async with browser(guard) as person, browser(guard) as other:
            begun = await person.get("/login/begin")
            state = parse_qs(urlsplit(begun.headers["location"]).query)["state"][0]
            issuer.asked = {"nonce": "", "code_challenge": ""}
            found = await other.get(f"/login/done?code=fine&state={state}")
            assert found.status_code == 403
            told = await person.get("/login/done?error=access_denied&state=unknown")
            assert told.status_code == 403
            assert "did not log you in" in told.text

    asyncio.run(walk())


def test_a_provider_that_is_none_is_told(issuer: Issuer) -> None:
    async def walk() -> None:
        guard = Guard(whoever, {}, True, provider=OidcLogin(f"{issuer.url}/other", "chat"))
        async with browser(guard) as person:  # it calls itself otherwise
            assert (await person.get("/login/begin")).status_code == 403
            assert (await person.post("/login/begin")).status_code == 200  # nothing begins by that

    asyncio.run(walk())


@pytest.mark.parametrize(
    ("issuer_url", "client", "public", "message"),
    [
        ("http://id.example", "chat", "", "https"),
        ("https://id.example", None, "", "--oidc-client|name"),
        ("https://id.example", "chat", "http://chat.example", "https"),
    ],
)
def test_what_is_not_safe_is_refused_at_the_start(
    issuer_url: str, client: str | None, public: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        OidcLogin.read(issuer_url, client, "email", public)
