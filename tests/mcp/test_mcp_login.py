from __future__ import annotations

import json
import stat
import subprocess
import sys
import threading
import urllib.request
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.apps.cli import run as cli
from qwenbelt.core.errors import ConfigError, ToolError
from qwenbelt.core.secrets import mask_secrets

BROWSER = """#!{python}
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1]) as page:
    page.read()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for logins, and a browser that agrees to everything."""
    browser = tmp_path / "browser"
    browser.write_text(BROWSER.format(python=sys.executable))
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    monkeypatch.setenv("QWENBELT_LOGINS", str(tmp_path / "logins"))
    monkeypatch.setenv("NO_PROXY", "*")
    return tmp_path


def config_of(folder: Path, url: str, **keys: Any) -> str:
    file = folder / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {"guarded": {"url": url, **keys}}}))
    return str(file)


def ask(url: str, path: str) -> dict[str, Any]:
    with urllib.request.urlopen(url.replace("/mcp", path)) as reply:
        return dict(json.load(reply))


def kept(home: Path) -> dict[str, Any]:
    (file,) = (home / "logins").glob("*.json")
    return dict(json.loads(file.read_text()))


@pytest.mark.parametrize("keys", [{}, {"auth": "oauth"}])
def test_a_login_is_kept_used_and_forgotten(
    home: Path,
    listening: Callable[..., str],
    tools_of: Callable[..., dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    keys: dict[str, Any],
) -> None:
    url = listening("oauth_server.py")
    file = config_of(home, url, **keys)
    assert cli(["mcp", "test", file]) == 1
    assert "asks for a login" in (said := capsys.readouterr().out), said
    assert "qwenbelt mcp login" in said

    assert cli(["mcp", "login", file, "guarded"]) == 0
    said = capsys.readouterr().out
    assert "/authorize?" in said
    assert "code_challenge_method=S256" in said
    (path,) = (home / "logins").glob("*.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    login = kept(home)
    assert login["issuer"].startswith(url.removesuffix("/mcp"))
    assert ask(url, "/counts")["authorize"]["resource"] == url
    for secret in (login["tokens"]["access_token"], login["tokens"]["refresh_token"]):
        assert secret not in said
        assert mask_secrets(f"it said {secret}") == "it said [secret]"

    tools = tools_of(guarded={"url": url, **keys})
    assert "read" in str(tools["guarded-whoami"].call({}))
    assert cli(["mcp", "login", file]) == 0
    assert "was logged in" in capsys.readouterr().out

    assert cli(["mcp", "logout", file, "guarded"]) == 0
    assert not list((home / "logins").glob("*.json"))
    counts = ask(url, "/counts")["counts"]
    assert (counts["revoke"], counts["authorize"]) == (1, 1)
    assert cli(["mcp", "logout", file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.partition("\n")[2])["servers"][0] == {
        "name": "guarded",
        "logged_out": False,
    }


def test_two_processes_renew_once(home: Path, listening: Callable[..., str]) -> None:
    url = listening("oauth_server.py")
    file = config_of(home, url, auth="oauth")
    assert cli(["mcp", "login", file]) == 0
    for end in ("on the server", "by the clock"):
        if end == "on the server":
            ask(url, "/expire")
        else:
            (path,) = (home / "logins").glob("*.json")
            path.write_text(json.dumps({**kept(home), "expires_at": 1.0}))
        before = ask(url, "/counts")["counts"].get("refresh", 0)
        command = [str(Path(sys.executable).with_name("qwenbelt")), "mcp", "test", file, "--json"]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        found = [json.loads(one.communicate(timeout=120)[0]) for one in both]
        assert [f["servers"][0]["call_error"] for f in found] == ["", ""], end
        assert ask(url, "/counts")["counts"]["refresh"] == before + 1, end
    assert ask(url, "/counts")["counts"]["authorize"] == 1


def test_more_scopes_are_asked_for_when_needed(
    home: Path, listening: Callable[..., str], tools_of: Callable[..., dict[str, Any]]
) -> None:
    url = listening("oauth_server.py")
    file = config_of(home, url)
    assert cli(["mcp", "login", file]) == 0
    tools = tools_of(guarded={"url": url})
    with pytest.raises(ToolError, match=r"does not cover write.*qwenbelt mcp login"):
        tools["guarded-save"].call({"text": "a"})
    assert "read" in str(tools["guarded-whoami"].call({}))
    assert cli(["mcp", "login", file]) == 0
    assert kept(home)["tokens"]["scope"].split() == ["read", "write"]
    assert kept(home)["wanted"] == ""
    assert "saved a" in str(tools_of(guarded={"url": url})["guarded-save"].call({"text": "a"}))


def test_a_run_asks_its_person_to_log_in_again(
    home: Path, listening: Callable[..., str], tools_of: Callable[..., dict[str, Any]]
) -> None:
    import concurrent.futures

    from qwenbelt.tools.base import Question, ToolContext

    url = listening("oauth_server.py")
    assert cli(["mcp", "login", config_of(home, url)]) == 0
    tools = tools_of(guarded={"url": url})
    asked: list[Question] = []

    def elicit(question: Question) -> concurrent.futures.Future[Any]:
        asked.append(question)
        answer: concurrent.futures.Future[Any] = concurrent.futures.Future()
        threading.Thread(target=webbrowser.open, args=(question.url,), daemon=True).start()
        answer.set_result({})
        return answer

    context = ToolContext(session="s", elicit=elicit)
    assert "saved b" in str(tools["guarded-save"].call({"text": "b"}, context=context))
    assert [(q.server, q.mode) for q in asked] == [("guarded", "url")]
    assert "scope=read+write" in asked[0].url


def test_a_batch_logs_in_by_itself(
    home: Path,
    listening: Callable[..., str],
    tools_of: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = listening("oauth_server.py")
    monkeypatch.setenv("SERVICE_SECRET", "secret-of-the-service")
    auth = {"type": "client_credentials", "client_id": "service"}
    good = {**auth, "client_secret": "${SERVICE_SECRET}", "issuer": url.removesuffix("/mcp")}
    tools = tools_of(guarded={"url": url, "auth": good})
    assert "read" in str(tools["guarded-whoami"].call({}))
    assert ask(url, "/counts")["counts"] == {"credentials": 1}
    ask(url, "/expire")
    assert "read" in str(tools["guarded-whoami"].call({}))
    # the secret goes to no issuer but its own
    for file in (home / "logins").iterdir():
        file.unlink()
    before = ask(url, "/counts")
    with pytest.raises(ConfigError, match="issuer"):
        tools_of(guarded={"url": url, "auth": {**good, "issuer": "https://elsewhere.example"}})
    assert ask(url, "/counts") == before


def test_the_answer_may_be_pasted(
    home: Path, listening: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = listening("oauth_server.py")
    file = config_of(home, url)
    command = [str(Path(sys.executable).with_name("qwenbelt")), "mcp", "login", file, "--paste"]
    command.append("--no-browser")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        page = process.stdout.readline().strip()
        answer = redirect_of(page)
        process.stdin.write(f"{answer.replace('state=', 'state=x')}\n{answer}\n")
        process.stdin.flush()
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert "not the answer" in process.stderr.read()
    assert kept(home)["tokens"]


def redirect_of(page: str) -> str:
    """Returns where the authorization server sends the browser, without going there."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any, **__: Any) -> None:
            return None

    try:
        urllib.request.build_opener(Stay).open(page)
    except urllib.error.HTTPError as error:
        error.close()
        return str(error.headers["Location"])
    raise AssertionError("no redirect")


def test_a_login_that_others_can_read_is_not_used(
    home: Path, listening: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    url = listening("oauth_server.py")
    file = config_of(home, url)
    assert cli(["mcp", "login", file]) == 0
    (path,) = (home / "logins").glob("*.json")
    path.chmod(0o644)
    assert cli(["mcp", "list", file]) == 1
    assert "can be read by others" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("auth", "said"),
    [
        ("basic", "auth is 'basic'"),
        (["oauth"], "must be a text or an object"),
        ({"type": "client_credentials", "client_id": "a"}, "client_secret"),
        ({"issuer": "http://login.example.com"}, "https"),
        ({"port": 99999}, "port number"),
        ({"client_secret": "${NOT_SET_ANYWHERE}"}, "NOT_SET_ANYWHERE"),
    ],
)
def test_wrong_options_are_named(auth: object, said: str) -> None:
    from qwenbelt.tools.mcp.config import read_config

    with pytest.raises(ConfigError, match=said.replace("$", r"\$")):
        read_config({"mcpServers": {"a": {"url": "https://example.com/mcp", "auth": auth}}})


def test_other_clients_options_are_read() -> None:
    from qwenbelt.tools.mcp.config import read_config

    entry = {"url": "https://a.example/mcp", "oauth": {"clientId": "x", "callbackPort": 8123}}
    (config,) = read_config({"mcpServers": {"a": entry}})
    assert (config.login.way, config.login.client_id, config.login.port) == ("oauth", "x", 8123)
