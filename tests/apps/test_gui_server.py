"""The chat's web server: who may do what, and what a browser is told."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from qwenbelt.apps.agent_choice import AgentChoice
from qwenbelt.apps.gui.server import GuiOptions, make_app
from qwenbelt.core.errors import ConfigError, EndpointError


class Client:
    """A browser of one person."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=60, trust_env=False)
        self.http.get("/en/")

    def new(self) -> str:
        return str(self.http.post("/qb/new", json={}).json()["id"])

    def do(self, session: str, action: str, **body: Any) -> httpx.Response:
        return self.http.post(f"/qb/do/{session}/{action}", json=body)

    def ask(self, session: str, text: str) -> None:
        """Sends a message the way the page does, through Gradio's queue."""
        config = self.http.get("/en/config").json()
        number = next(d["id"] for d in config["dependencies"] if d["api_name"] == "send")
        body = {
            "data": [{"text": text, "files": []}, session],
            "fn_index": number,
            "session_hash": "test",
        }
        assert self.http.post("/en/gradio_api/queue/join", json=body).status_code == 200
        with self.http.stream("GET", "/en/gradio_api/queue/data?session_hash=test") as stream:
            for line in stream.iter_lines():
                if '"process_completed"' in line:
                    assert '"success":true' in line.replace(" ", ""), line
                    return

    def watch(self, session: str, until: str, lang: str = "en") -> str:
        """Reads the stream until a text comes; returns all of it."""
        seen = ""
        url = f"/qb/stream?session={session}&lang={lang}"
        with contextlib.suppress(httpx.ReadTimeout), self.http.stream("GET", url) as stream:
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    seen += json.dumps(json.loads(line[6:]), ensure_ascii=False)
                if until in seen:
                    return seen
        raise AssertionError(f"{until!r} did not come: {seen}")


@pytest.fixture
def url(chat_server: Any) -> str:
    return str(chat_server.url)


@pytest.fixture
def anna(url: str) -> Iterator[Client]:
    client = Client(url)
    yield client
    client.http.close()


@pytest.fixture
def ben(url: str) -> Iterator[Client]:
    client = Client(url)
    yield client
    client.http.close()


def test_the_page_follows_the_browsers_language(url: str) -> None:
    for header, path in (
        ("zh-CN,zh;q=0.9,en;q=0.8", "/zh/"),
        ("de,en;q=0.5", "/en/"),
        ("", "/en/"),
    ):
        reply = httpx.get(url, headers={"accept-language": header}, trust_env=False)
        assert reply.headers["location"] == path
    assert "新对话" in json.dumps(
        httpx.get(f"{url}/zh/config", trust_env=False).json(), ensure_ascii=False
    )


def test_a_turn_is_told_kept_and_found(anna: Client) -> None:
    session = anna.new()
    anna.ask(session, "Hello")
    seen = anna.watch(session, "qb-footer")
    assert "<strong>is</strong>" in seen
    assert f"/qb/file/{session}/drawing.png" in seen
    again = anna.watch(session, "qb-footer", "zh")
    assert "思考了" in again
    listed = anna.http.get("/qb/sessions?q=Hello").json()["sessions"]
    assert [entry["title"] for entry in listed] == ["Hello"]
    assert anna.http.get("/qb/sessions?q=nothing%25").json()["sessions"] == []
    picture = anna.http.get(f"/qb/file/{session}/drawing.png")
    assert picture.headers["content-type"] == "image/png"
    assert "sandbox" in picture.headers["content-security-policy"]


def test_stop_ends_the_tool_and_keeps_the_turn(anna: Client, chat_server: Any) -> None:
    session = anna.new()
    anna.ask(session, "Hello")
    anna.watch(session, "qb-footer")
    anna.ask(session, "Wait")
    anna.watch(session, "qb-card running")
    stopped = chat_server.folder / "gui" / "sessions" / session / "stopped-long.txt"
    began = time.monotonic()
    anna.do(session, "stop")
    seen = anna.watch(session, "Stopped.")
    assert time.monotonic() - began < 15
    assert "qb-card cancelled" in seen
    end = time.monotonic() + 2
    while not stopped.is_file() and time.monotonic() < end:
        time.sleep(0.02)
    assert stopped.is_file()
    exported = anna.http.get(f"/qb/export/{session}/json").json()
    assert [turn["question"] for turn in exported["turns"]] == ["Hello", "Wait"]
    assert exported["turns"][1]["messages"][-1]["role"] == "function"


def test_retry_edit_undo_branch_and_versions(anna: Client) -> None:
    session = anna.new()
    anna.ask(session, "Hello")
    anna.watch(session, "qb-footer")
    turn = anna.http.get(f"/qb/export/{session}/json").json()
    assert len(turn["turns"]) == 1
    first = _turn_ids(anna, session)[0]
    anna.do(session, "retry", turn=first)
    seen = anna.watch(session, "Version 2 of 2")
    second = _turn_ids(anna, session)[0]
    assert second != first
    anna.watch(session, "qb-footer")
    assert anna.do(session, "show", turn=first).status_code == 200
    assert _turn_ids(anna, session) == [first]
    branch = anna.do(session, "branch", turn=first).json()["id"]
    assert len(_turn_ids(anna, branch)) == 1
    anna.do(session, "undo")
    assert _turn_ids(anna, session) == []
    assert "Hello" in seen
    anna.do(session, "delete")
    assert anna.http.get(f"/qb/export/{session}/json").status_code == 400


def test_a_branch_has_files_and_a_name_of_its_own(anna: Client) -> None:
    session = anna.new()
    anna.ask(session, "Hello")
    anna.watch(session, "qb-footer")
    turn = _turn_ids(anna, session)[0]
    branches = [anna.do(session, "branch", turn=turn).json()["id"] for _ in range(2)]
    listed = anna.http.get("/qb/sessions").json()["sessions"]
    assert sorted(entry["title"] for entry in listed) == ["Hello", "Hello (2)", "Hello (3)"]
    anna.do(session, "delete")
    kept = anna.http.get(f"/qb/export/{branches[0]}/json").text
    assert '"value": "drawing.png"' in kept, "a path leads elsewhere"
    assert anna.http.get(f"/qb/file/{branches[0]}/drawing.png").status_code == 200


def _turn_ids(client: Client, session: str) -> list[str]:
    seen = client.watch(session, '"op": "order"')
    start = seen.index('"op": "order"')
    ids = json.loads(seen[seen.index("[", start) : seen.index("]", start) + 1])
    return [name.removeprefix("turn-") for name in ids]


def test_export_and_import(anna: Client) -> None:
    session = anna.new()
    anna.ask(session, "Hello")
    anna.watch(session, "qb-footer")
    markdown = anna.http.get(f"/qb/export/{session}/md")
    assert "It **is** so" in markdown.text
    body = anna.http.get(f"/qb/export/{session}/json").json()
    copy = anna.http.post("/qb/import", json=body).json()["id"]
    assert copy != session
    assert "<strong>is</strong>" in anna.watch(copy, "qb-footer")
    for wrong in ({}, {"format": body["format"], "turns": [1]}, {"format": "x", "turns": []}):
        assert anna.http.post("/qb/import", json=wrong).status_code == 400


@pytest.mark.parametrize("kind", ["file", "image", "audio", "video"])
def test_an_import_names_no_file_of_the_server(anna: Client, kind: str) -> None:
    question = {"role": "user", "content": [{"text": "Read it."}, {kind: "/etc/passwd"}]}
    answer = {"role": "assistant", "content": [{kind: "file:///etc/shadow", "text": "Read."}]}
    body = {
        "format": "qwenbelt-conversation",
        "title": "<b>bold</b>",
        "turns": [{"question": "Read it.", "files": ["../x"], "messages": [question, answer]}],
    }
    session = anna.http.post("/qb/import", json=body).json()["id"]
    kept = anna.http.get(f"/qb/export/{session}/json").json()["turns"][0]["messages"]
    assert kept[0]["content"][1] == {"text": "(not part of the import: passwd)"}
    assert kept[1]["content"] == [{"text": "Read."}]
    king = {"question": "x", "messages": [{"role": "king", "content": "x"}]}
    odd = {"question": "x", "events": [{"event": "text"}]}
    for turn in (king, odd):
        assert anna.http.post("/qb/import", json={**body, "turns": [turn]}).status_code == 400


def test_errors_are_told_in_the_persons_language(anna: Client) -> None:
    address = f"/qb/export/{anna.new()}/md"
    for language, words in (("en-GB", "Nothing was said"), ("zh-CN", "还没有内容")):
        told = anna.http.get(address, headers={"accept-language": language}).json()["error"]
        assert words in told


def test_nobody_sees_anothers_conversation(anna: Client, ben: Client) -> None:
    session = anna.new()
    anna.ask(session, "Hello")
    anna.watch(session, "qb-footer")
    assert ben.http.get("/qb/sessions").json()["sessions"] == []
    for path in (
        f"/qb/stream?session={session}",
        f"/qb/file/{session}/drawing.png",
        f"/qb/export/{session}/json",
        f"/qb/cite/{session}/x.pdf/1",
    ):
        assert ben.http.get(path).status_code == 400, path
    for action in ("stop", "approve", "rename", "delete", "retry", "undo"):
        assert ben.do(session, action).status_code == 400, action


@pytest.mark.parametrize(
    "name", ["..%2fconversations.sqlite", "%2e%2e", "..", ".", "a%00b", "c:%5cx", "nothing.png"]
)
def test_no_file_outside_the_conversation(anna: Client, name: str) -> None:
    session = anna.new()
    assert anna.http.get(f"/qb/file/{session}/{name}").status_code in (400, 404)


@pytest.mark.parametrize("path", ["/etc/passwd", "conversations.sqlite", "proxy"])
def test_gradios_own_ways_to_files_lead_nowhere(anna: Client, chat_server: Any, path: str) -> None:
    session = anna.new()
    if path == "proxy":
        reply = anna.http.get("/en/gradio_api/proxy=https://evil.example/x")
        assert reply.status_code >= 400
        return
    if path == "conversations.sqlite":
        path = str(chat_server.folder / "gui" / path)
    assert Path(path).is_file()
    assert anna.http.get(f"/en/gradio_api/file={path}").status_code in (403, 404)
    config = anna.http.get("/en/config").json()
    number = next(d["id"] for d in config["dependencies"] if d["api_name"] == "send")
    file = chat_server.folder / "secret.csv"
    file.write_text("a,b\n", encoding="utf-8")
    for meta in ({"meta": {"_type": "gradio.FileData"}}, {}):
        given = {"text": "Hello", "files": [{"path": str(file), **meta}]}
        body = {"data": [given, session], "fn_index": number, "session_hash": session}
        anna.http.post("/en/gradio_api/queue/join", json=body)
        told = ""
        with anna.http.stream("GET", f"/en/gradio_api/queue/data?session_hash={session}") as data:
            for line in data.iter_lines():
                told += line
                if '"process_completed"' in line:
                    break
        assert '"success":true' not in told.replace(" ", "")
    address = {"path": f"{anna.http.base_url}en/config.json", "meta": {"_type": "gradio.FileData"}}
    body = {"data": [{"text": "Hello", "files": [address]}, session], "fn_index": number}
    anna.http.post("/en/gradio_api/queue/join", json={**body, "session_hash": session})
    with anna.http.stream("GET", f"/en/gradio_api/queue/data?session_hash={session}") as data:
        told = next(line for line in data.iter_lines() if '"process_completed"' in line)
    assert '"success":true' not in told.replace(" ", "")
    assert anna.http.get(f"/qb/export/{session}/md").status_code == 400, "it was asked"


@pytest.mark.parametrize("name", ["page.html", "image.svg", "sound.wav", "x.png.exe"])
def test_a_file_that_could_run_is_sandboxed_or_downloaded(
    anna: Client, chat_server: Any, name: str
) -> None:
    session = anna.new()
    folder = chat_server.folder / "gui" / "sessions" / session
    folder.mkdir(parents=True)
    (folder / name).write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
    reply = anna.http.get(f"/qb/file/{session}/{name}")
    assert reply.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert reply.headers["x-content-type-options"] == "nosniff"
    if name.endswith(".svg"):
        assert reply.headers["content-type"] == "image/svg+xml"
    else:
        assert reply.headers["content-type"] == "application/octet-stream"
        assert reply.headers["content-disposition"].startswith("attachment")


def test_other_sites_and_host_names_are_refused(anna: Client, url: str) -> None:
    session = anna.new()
    for headers in (
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site"},
    ):
        reply = anna.http.post(f"/qb/do/{session}/undo", json={}, headers=headers)
        assert reply.status_code == 403
    assert anna.http.get("/en/", headers={"host": "evil.example"}).status_code == 421
    policy = anna.http.get("/en/").headers["content-security-policy"]
    assert "connect-src 'self'" in policy
    assert "img-src 'self' data: blob:" in policy


def test_bad_requests_are_one_line(anna: Client) -> None:
    session = anna.new()
    assert anna.http.post(f"/qb/do/{session}/rename", content=b"[1]").status_code == 400
    assert anna.http.post(f"/qb/do/{session}/rename", content=b"{").status_code == 400
    assert anna.do(session, "nonsense").status_code == 404
    assert anna.do(session, "edit", turn="none", text="x").status_code == 400
    assert anna.http.get(f"/qb/export/{session}/md").json()["error"].startswith("Nothing")


def test_a_check_names_the_models_of_an_endpoint(tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason='needs pip install "qwenbelt[gui]"')
    from qwenbelt.apps.gui.settings import endpoint_health
    from qwenbelt.testing import start_scripted

    (tmp_path / "s.yaml").write_text("say: x\nturns: [{answer: y}]\n", encoding="utf-8")
    url = start_scripted(tmp_path / "s.yaml").url
    told, models = endpoint_health(f"vllm:scripted@{url}", "en")
    assert told.startswith("✓ scripted · models: 1")
    assert models == [f"vllm:scripted@{url}"]
    assert endpoint_health(f"vllm:other@{url}", "zh")[0].startswith("⚠")
    with pytest.raises(EndpointError):
        endpoint_health("vllm:x@http://127.0.0.1:9/v1", "en")


def test_a_public_address_needs_accounts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--auth"):
        make_app(AgentChoice(), GuiOptions("0.0.0.0", workspace=tmp_path))


def test_the_start_loads_what_the_page_needs_and_makes_one_language(tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason='needs pip install "qwenbelt[gui]"')
    program = f"""
import sys
from pathlib import Path
from qwenbelt.apps.agent_choice import AgentChoice
from qwenbelt.apps.gui.server import GuiOptions, LanguagePage, make_app
made = []
make = LanguagePage.make
LanguagePage.make = lambda self: (made.append(self), make(self))[1]
app = make_app(AgentChoice(), GuiOptions(workspace=Path({str(tmp_path)!r})))
assert len(made) == 1, made
heavy = [n for n in ("qwen_agent", "openai", "qwenbelt.agents.runtime.loop") if n in sys.modules]
assert not heavy, heavy
import gradio
assert gradio.component_meta.create_or_modify_pyi() is None  # no stubs are written
# threads that import agents at the same time fail: they are there before the first request
import asyncio
told = []
async def receive():
    await asyncio.sleep(0)
    return {{"type": "lifespan.startup"}} if not told else await asyncio.Future()
async def send(message):
    told.append(message["type"])
    if told[0] == "lifespan.startup.complete":
        late = [n for n in ("qwen_agent", "qwenbelt.agents.fncall") if n not in sys.modules]
        assert not late, late
async def start():
    serving = asyncio.ensure_future(app({{"type": "lifespan", "asgi": {{}}}}, receive, send))
    while not told:
        await asyncio.sleep(0.01)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
asyncio.run(start())
assert told[0] == "lifespan.startup.complete", told
"""
    subprocess.run([sys.executable, "-c", program], check=True)
