"""The ways in which a person opens the sandbox: hosts, folders and packages."""

from __future__ import annotations

import base64
import hashlib
import http.server
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwenbelt.core.errors import ConfigError
from qwenbelt.tools.code_interpreter.options import SessionOptions
from qwenbelt.tools.code_interpreter.packages import package_folder
from qwenbelt.tools.code_interpreter.proxy import Proxy
from qwenbelt.tools.code_interpreter.sandbox.level import layers
from qwenbelt.tools.code_interpreter.tool import CodeInterpreter

LEVELS = [
    pytest.param("namespaces", marks=pytest.mark.skipif(not layers().namespaces, reason="none")),
    pytest.param("landlock", marks=pytest.mark.skipif(layers().landlock < 4, reason="too old")),
]


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"hello from {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield serving.server_port
    serving.shutdown()
    thread.join()
    serving.server_close()


FETCH = """
import urllib.request, urllib.error, os
os.environ.pop('NO_PROXY', None); os.environ.pop('no_proxy', None)
try: text = urllib.request.urlopen('http://127.0.0.1:{port}/page?x=1', timeout=60).read().decode()
except urllib.error.HTTPError as error: text = f'{{error.code}} {{error.read().decode()}}'
except OSError as error: text = f'refused {{error}}'
print(text)
"""


@pytest.mark.parametrize("isolation", LEVELS)
def test_a_named_host_is_reached_through_the_proxy(make, server, isolation):
    run = make({"isolation": isolation, "network": [f"127.0.0.1:{server}"]})
    assert run(FETCH.format(port=server)).strip() == "hello from /page?x=1"
    direct = f"import socket; socket.create_connection(('127.0.0.1', {server}), 2)"
    assert "Error" in run(direct)


@pytest.mark.parametrize("isolation", LEVELS)
def test_private_addresses_are_refused_when_only_public_ones_are_allowed(make, server, isolation):
    run = make({"isolation": isolation, "network": True})
    assert run(FETCH.format(port=server)).startswith("403 127.0.0.1")


@pytest.mark.parametrize("isolation", LEVELS)
def test_a_tunnel_is_made_only_to_allowed_hosts(make, server, isolation):
    run = make({"isolation": isolation, "network": [f"127.0.0.1:{server}"]})
    code = (
        "import os, socket\nfrom urllib.parse import urlsplit\n"
        "place = urlsplit(os.environ['HTTPS_PROXY'])\n"
        "def ask(target):\n"
        "    s = socket.create_connection((place.hostname, place.port), 60)\n"
        "    s.sendall(f'CONNECT {target} HTTP/1.1\\r\\n\\r\\n'.encode())\n"
        "    first = s.recv(1000).split(b'\\r\\n')[0]\n"
        "    if b'200' in first:\n"
        "        s.sendall(b'GET /t HTTP/1.0\\r\\n\\r\\n')\n"
        "        first = b''.join(iter(lambda: s.recv(1000), b''))[-13:]\n"
        "    print(first.decode())\n"
        f"ask('127.0.0.1:{server}'); ask('127.0.0.1:22'); ask('169.254.169.254:80')"
    )
    assert run(code).splitlines() == [
        "hello from /t",
        "HTTP/1.1 403 Forbidden",
        "HTTP/1.1 403 Forbidden",
    ]


def test_the_description_says_what_can_be_reached():
    tool = CodeInterpreter({"network": ["example.org"]})
    if layers().mode != "none":
        assert "example.org" in tool.function["description"]
        assert "without network" in CodeInterpreter().function["description"]


@pytest.mark.parametrize(
    ("hosts", "host", "port", "allowed"),
    [
        (("*",), "example.org", 443, True),
        (("*",), "example.org", 22, False),
        (("example.org",), "example.org", 80, True),
        (("example.org",), "data.example.org", 443, True),
        (("example.org",), "badexample.org", 443, False),
        (("example.org",), "example.org.evil.net", 443, False),
        (("Example.org.",), "EXAMPLE.ORG", 443, True),
        (("example.org:8443",), "example.org", 8443, True),
        (("example.org:8443",), "example.org", 443, False),
        ((), "example.org", 443, False),
    ],
)
def test_the_list_of_hosts(hosts, host, port, allowed):
    assert Proxy(hosts).allows(host, port) is allowed


def test_a_folder_is_shown_read_only(make, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "table.csv").write_text("a\n5\n", encoding="utf-8")
    run = make({"read_only": [str(data)]})
    assert run(f"open('{data}/table.csv').read()") == repr("a\n5\n")
    assert "Error" in run(f"open('{data}/table.csv', 'w')")


def wheel(folder: Path) -> Path:
    """Makes a wheel with one module."""
    files = {
        "belt_extra.py": "answer = 42\n",
        "belt_extra-1.0.dist-info/METADATA": (
            "Metadata-Version: 2.1\nName: belt-extra\nVersion: 1.0\n"
        ),
        "belt_extra-1.0.dist-info/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    record = ""
    path = folder / "belt_extra-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as out:
        for name, text in files.items():
            out.writestr(name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            record += f"{name},sha256={digest.decode().rstrip('=')},{len(text)}\n"
        out.writestr(
            "belt_extra-1.0.dist-info/RECORD", record + "belt_extra-1.0.dist-info/RECORD,,\n"
        )
    return path


def test_packages_are_installed_by_this_side(make, tmp_path, monkeypatch):
    monkeypatch.setenv("QWENBELT_WORKSPACE", str(tmp_path / "workspace"))
    options = ["--no-index", "--find-links", str(wheel(tmp_path).parent)]
    run = make({"packages": ["belt-extra"], "package_options": options})
    assert run("import belt_extra; belt_extra.answer") == "42"
    assert "ModuleNotFoundError" in make()("import belt_extra")


def test_a_package_that_cannot_be_installed_is_one_clear_line(tmp_path):
    with pytest.raises(ConfigError, match="cannot be installed"):
        package_folder(("no-such-belt",), tmp_path / "p", ("--no-index",))
    assert not any((tmp_path / "p").iterdir())
    with pytest.raises(ConfigError, match="not a package"):
        package_folder(("--index-url",), tmp_path / "p")


def test_network_must_be_a_list_or_a_switch():
    with pytest.raises(ConfigError, match="network"):
        CodeInterpreter({"network": "example.org"})
    assert CodeInterpreter({"network": False}).options == SessionOptions()
