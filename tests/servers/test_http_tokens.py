"""Whose tokens a server over HTTP takes, what a token may do, and whose data it is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.mcp_servers.users import user_folder
from tests.servers.issuer import Issuer

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    found = Issuer()
    yield found
    found.close()


def ask(url: str, token: str | None, method: str = "tools/list", **params: Any) -> httpx.Response:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": META, **params}}
    headers = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": method,
    }
    if "name" in params:
        headers["mcp-name"] = params["name"]
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    return httpx.post(url, json=message, headers=headers, timeout=30)


def call(url: str, token: str | None, name: str, **arguments: Any) -> httpx.Response:
    return ask(url, token, "tools/call", name=name, arguments=arguments)


def text_of(reply: httpx.Response) -> str:
    assert reply.status_code == 200, reply.text
    return str(reply.json()["result"]["content"][0]["text"])


def test_only_tokens_of_the_issuer_for_this_server(
    serve_http: Callable[..., str], tmp_path: Path, issuer: Issuer
) -> None:
    (tmp_path / "a.txt").write_text("hello")
    url = serve_http("filesystem", tmp_path, "--issuer", issuer.url)
    nobody = ask(url, None)
    assert nobody.status_code == 401
    challenge = nobody.headers["www-authenticate"]
    where = url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")
    assert challenge == f'Bearer scope="read", resource_metadata="{where}"'
    told = httpx.get(where).json()
    assert told["resource"] == url
    assert [a.rstrip("/") for a in told["authorization_servers"]] == [issuer.url]
    assert told["scopes_supported"] == ["read", "write"]

    good = issuer.token("ann", aud=url)
    assert len(ask(url, good).json()["result"]["tools"]) == 16
    assert text_of(call(url, good, "read_text_file", path="a.txt")) == "hello"
    for bad in (
        issuer.token("ann", aud="http://127.0.0.1:1/mcp"),
        issuer.token("ann", aud=None),
        issuer.token("ann", aud=url, iss="http://evil.example"),
        issuer.token("ann", aud=url, exp=int(time.time()) - 60),
        issuer.token("ann", aud=url, exp=None),
        issuer.token("ann", aud=url, key=ec.generate_private_key(ec.SECP256R1())),
        "junk",
        "a.b.c",
        "é",
        good[:-2],
        "x" * 100_000,
    ):
        reply = httpx.post(url, json={}, headers={"authorization": f"Bearer {bad}".encode()})
        assert reply.status_code in (400, 401), bad[:40]
        if reply.status_code == 401:
            assert 'error="invalid_token"' in reply.headers["www-authenticate"]
    lacking = ask(url, issuer.token("ann", "other", aud=url))
    assert lacking.status_code == 403
    assert 'error="insufficient_scope", scope="read"' in lacking.headers["www-authenticate"]
    assert issuer.asked.count("/keys") <= 2


def test_tools_that_change_something_need_the_scope(
    serve_http: Callable[..., str], tmp_path: Path, issuer: Issuer
) -> None:
    url = serve_http("filesystem", tmp_path, "--issuer", issuer.url, "--write-scope", "files:write")
    reader = issuer.token("ann", "read", aud=url)
    refused = call(url, reader, "write_file", path="a.txt", content="x")
    assert refused.status_code == 403
    assert 'scope="read files:write"' in refused.headers["www-authenticate"]
    # a batch, and a body whose name hides behind a second key, are no ways around
    params = {"name": "write_file", "arguments": {"path": "a.txt", "content": "x"}}
    batch = [{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}]
    twice = json.dumps(batch[0]).replace('"name"', '"name": "read_text_file", "name"')
    other = json.dumps(batch[0]).replace('"name": "write_file"', '"name": "write_file", "name": 1')
    headers = {"authorization": f"Bearer {reader}", "content-type": "application/json",
               "accept": "application/json, text/event-stream"}  # fmt: skip
    for body in (json.dumps(batch), twice, other):
        reply = httpx.post(url, content=body, headers=headers)
        assert reply.status_code >= 400
    assert not list(tmp_path.iterdir())
    writer = issuer.token("ann", "read files:write", aud=url)
    assert call(url, writer, "write_file", path="a.txt", content="x").status_code == 200
    assert (tmp_path / "a.txt").read_text() == "x"


def test_each_user_has_a_folder_that_nobody_else_reaches(
    serve_http: Callable[..., str], tmp_path: Path, issuer: Issuer
) -> None:
    url = serve_http("filesystem", tmp_path, "--issuer", issuer.url, "--per-user")
    ann, bob = (issuer.token(name, "read write", aud=url) for name in ("ann", "Bob|7"))
    assert call(url, ann, "write_file", path="mine.txt", content="of ann").status_code == 200
    assert (tmp_path / "ann" / "mine.txt").read_text() == "of ann"
    assert text_of(call(url, ann, "read_text_file", path="mine.txt")) == "of ann"
    for path in ("mine.txt", "../ann/mine.txt", str(tmp_path / "ann" / "mine.txt"), ".."):
        assert call(url, bob, "read_text_file", path=path).json()["result"]["isError"]
    assert str(tmp_path / "%42ob%7c7") in text_of(call(url, bob, "list_allowed_directories"))
    up = issuer.token("../ann", "read", aud=url)
    assert call(url, up, "read_text_file", path="mine.txt").json()["result"]["isError"]
    nobody = ask(url, issuer.token("x", aud=url, sub=None))
    assert nobody.status_code == 403
    assert "names no user" in nobody.text


def test_each_user_has_a_graph_and_a_database(
    serve_http: Callable[..., str], tmp_path: Path, issuer: Issuer
) -> None:
    flags = ("--issuer", issuer.url, "--per-user")
    url = serve_http("memory", "--file", tmp_path / "m.db", *flags)
    ann, bob = (issuer.token(name, "read write", aud=url) for name in ("ann", "bob"))
    entity = {"name": "secret", "entityType": "t", "observations": ["seen"]}
    assert call(url, ann, "create_entities", entities=[entity]).status_code == 200
    assert "seen" in text_of(call(url, ann, "read_graph"))
    assert "seen" not in text_of(call(url, bob, "read_graph"))
    assert "seen" not in ask(url, bob, "resources/read", uri="memory://knowledge-graph").text
    assert not (tmp_path / "m.db").exists()

    url = serve_http("sqlite", "--db-path", tmp_path / "shop.db", *flags)
    reply = call(url, issuer.token("ann", aud=url), "list_tables")
    assert "ann.db" in reply.json()["error"]["message"]
    assert len(ask(url, issuer.token("bob", aud=url)).json()["error"]["message"]) < 200


def test_tokens_that_only_the_issuer_can_read(
    serve_http: Callable[..., str], tmp_path: Path, issuer: Issuer
) -> None:
    env = {"QWENBELT_MCP_CLIENT_ID": "server", "QWENBELT_MCP_CLIENT_SECRET": "secret-of-the-server"}
    url = serve_http("filesystem", tmp_path, "--issuer", issuer.url, **env)
    told = {"active": True, "sub": "ann", "scope": "read"}
    issuer.opaque["good"] = {**told, "aud": url}
    issuer.opaque["other"] = {**told, "aud": "http://other/mcp"}
    issuer.opaque["none"] = told
    assert [ask(url, token).status_code for token in ("good", "other", "none", "bad", "good")] == [
        200, 401, 401, 401, 200,
    ]  # fmt: skip
    assert issuer.asked.count("/introspect") == 4
    issuer.broken = True
    down = ask(url, "new")
    assert down.status_code == 503
    assert "does not answer" in down.json()["error_description"]
    assert ask(url, "good").status_code == 200


def test_our_client_logs_in_to_our_server(
    connect: Callable[..., Any], serve_http: Callable[..., str], tmp_path: Path, issuer: Issuer
) -> None:
    url = serve_http("filesystem", tmp_path, "--issuer", issuer.url)
    auth = {
        "type": "client_credentials",
        "client_id": "service",
        "client_secret": "secret-of-the-service",
        "issuer": issuer.url,
        "scopes": ["read", "write"],
    }
    client = connect(url, auth=auth)
    client.text("write_file", path="a.txt", content="by a token")
    assert client.text("read_text_file", path="a.txt") == "by a token"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--issuer", "http://127.0.0.1:9"], "Add --http PORT"),
        (["--workers", "2"], "Add --http PORT"),
        (["--http", "0", "--per-user"], "Add --issuer URL"),
        (["--http", "0", "--jwks", "https://a/keys"], "Add --issuer URL"),
        (["--http", "0", "--issuer", "http://example.org"], "Tokens need https"),
        (["--http", "0", "--issuer", "ftp://example.org"], "Not an https:// address"),
        (["--http", "0", "--issuer", "http://127.0.0.1:9"], "cannot be used (["),
        (
            ["--http", "0", "--issuer", "https://a.b", "--introspection", "https://a.b/i"],
            "Set QWENBELT_MCP_CLIENT_ID",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    from qwenbelt.mcp_servers.filesystem import command

    done = CliRunner().invoke(command, [str(tmp_path), *arguments])
    assert done.exit_code != 0
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)


@given(st.lists(st.text(min_size=1), min_size=2, max_size=2, unique=True))
def test_no_two_users_share_a_folder_and_none_leads_elsewhere(subjects: list[str]) -> None:
    names = [user_folder(subject) for subject in subjects]
    assert names[0].casefold() != names[1].casefold()
    for name in names:
        assert name not in (".", "..")
        assert not set(name) & set("/\\:\0")
        assert 0 < len(name) <= 100
    assert user_folder("ann@example.org") == "ann@example.org"
