"""One rule for what this machine is: no key leaves by a proxy, and no name only looks like it."""

from __future__ import annotations

import ast
import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.agents.models.client import ModelConnection, open_reply
from qwenbelt.agents.models.endpoints import list_models, server_facts
from qwenbelt.core.errors import EndpointError
from qwenbelt.core.urls import host_of_header, is_loopback, is_this_machine
from qwenbelt.tools.documents.search import http_post

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = (
    "localhost", "LOCALHOST", "localhost.", "gpu.localhost", "127.0.0.1", "127.9.9.9", "127.1",
    "2130706433", "0x7f.1", "::1", "[::1]", "::ffff:127.0.0.1", "http://LOCALHOST:8000/v1",
    "https://localhost:8443", "HTTP://127.0.0.1", "http://user:word@localhost:1/", "http://[::1]:80",
)  # fmt: skip
ELSEWHERE = (
    "", "127.example.com", "http://127.example.com/v1", "localhost.example.com", "notlocalhost",
    "http://localhost@example.com", "http://example.com/localhost", "10.0.0.1", "0.0.0.0", "::",
    "http://localhost.evil:80", "fe80::1%lo", "http://[", "127", "1.2.3.4.5", "127.0.0.1 evil",
)  # fmt: skip


@pytest.mark.parametrize("place", LOOPBACK)
def test_what_is_loopback(place: str) -> None:
    assert is_loopback(place)
    assert is_this_machine(place)


@pytest.mark.parametrize("place", ELSEWHERE)
def test_what_is_not(place: str) -> None:
    assert not is_loopback(place)


@given(st.text() | st.from_regex(r"https?://[a-z0-9.:\[\]@]{0,20}/?", fullmatch=True))
def test_any_text_is_answered(place: str) -> None:
    assert is_this_machine(place) >= is_loopback(place)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], bool]]:
    """A proxy for everything; the value says whether it was asked."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, url)
            monkeypatch.setenv(name.lower(), url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)

        def was_asked() -> bool:
            try:
                listener.accept()[0].close()
            except BlockingIOError:
                return False
            return True

        yield was_asked


def ask_model(url: str) -> None:
    async def ask() -> None:
        async with open_reply(ModelConnection(url, "k", 5.0), b"{}"):
            pass

    asyncio.run(ask())


ASKERS = {
    "a model": ask_model,
    "its models": lambda url: list_models(url, key="k"),
    "its facts": lambda url: server_facts(url, "m", "k"),
    "vectors": lambda url: http_post.post(url, {}, "k"),
}


@pytest.mark.parametrize("asker", ASKERS)
@pytest.mark.parametrize("host", ["http://LOCALHOST", "https://localhost", "http://127.1"])
def test_no_proxy_sees_what_is_for_this_machine(
    proxy: Callable[[], bool], monkeypatch: pytest.MonkeyPatch, host: str, asker: str
) -> None:
    monkeypatch.setattr(http_post, "TRIES", 1)
    with socket.socket() as nobody:  # bound, not listening: refuses
        nobody.bind(("127.0.0.1", 0))
        try:
            ASKERS[asker](f"{host}:{nobody.getsockname()[1]}/v1")
        except EndpointError:
            pass
    assert not proxy()


def test_certificates_of_the_environment_are_still_read(
    proxy: Callable[[], bool], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`trust_env=False` alone would also drop SSL_CERT_FILE, which a server at home may need."""
    from qwenbelt.core.urls import connection_options

    # one that cannot be read is refused, so it was looked at; httpx2 2.10 passes over a missing one
    (tmp_path / "bad.pem").write_text("no certificate", encoding="ascii")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "bad.pem"))
    with pytest.raises(ssl.SSLError):
        connection_options("https://localhost:1")
    assert connection_options("https://example.com") == {}


def test_nobody_has_a_rule_of_his_own() -> None:
    """Comparing with "localhost", or looking for its beginning, is `core.urls` alone."""
    own = []
    for room in ("core", "tools", "mcp_servers", "agents", "workflows", "apps", "testing"):
        for path in sorted((ROOT / room).rglob("*.py")):
            if path == ROOT / "core" / "urls.py":
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Compare | ast.Call):
                    parts = (
                        node.comparators
                        if isinstance(node, ast.Compare)
                        else node.args
                        if isinstance(node.func, ast.Attribute)
                        and node.func.attr in ("startswith", "endswith")
                        else []
                    )
                    texts = [
                        leaf.value
                        for part in parts
                        for leaf in ast.walk(part)
                        if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str)
                    ]
                    if any("localhost" in t or "://127." in t for t in texts):
                        own.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert own == []


@pytest.mark.parametrize(
    ("value", "local"),
    [
        *[
            (host, True)
            for host in ("[::1]", "[::1]:8808", "localhost", "LOCALHOST:1", "127.0.0.1:9")
        ],
        *[(host, False) for host in ("", "::1", "[::1", "[::1]x", "[::1]@evil.com", "evil.com:80")],
        *[(host, False) for host in ("localhost:80@evil.com", "localhost evil.com", "[evil]:80")],
    ],
)
def test_the_host_of_a_header(value: str, local: bool) -> None:
    assert is_loopback(host_of_header(value)) is local
