"""`serve --approvals`: the client is asked about a call, and the run goes on with its answer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.testclient import TestClient

from qwenbelt import FnCallAgent
from qwenbelt.agents.sessions.database import SessionDatabase
from qwenbelt.apps.serve.app import AgentServer, ServeOptions
from qwenbelt.core.errors import ConfigError
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools import Tool


class Line(BaseModel):
    text: str


class Note(Tool):
    """Writes a line: a call with an effect."""

    name = "note"
    description = "Writes a line."
    Arguments = Line

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def call(self, params: Any, **kwargs: Any) -> str:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{self.parse(params).text}\n")
        return "written"


class Replicas:
    """Servers with one store, each of which may be started anew."""

    def __init__(self, folder: Path, exits: ExitStack, turns: Any) -> None:
        self.folder, self.notes, self.requests = folder, folder / "notes", 0
        self.store = str(folder / "chats.db")

        def turn(request: Any) -> Any:
            self.requests += 1
            return turns(request)

        scenario = Scenario()
        for _ in range(40):
            scenario.turn(compute=turn)
        server = ScriptedServer(scenario, plays=None, strict=False)
        self._llm = exits.enter_context(server).llm
        self._exits = exits

    def start(self, **options: Any) -> Any:
        agent = FnCallAgent([Note(self.notes)], self._llm, approve="ask")
        given = {"store": self.store, "approvals": True, "folder": self.folder / "kept", **options}
        app = AgentServer(agent, ServeOptions(**given), set()).app()
        return self._exits.enter_context(TestClient(app, base_url="http://127.0.0.1"))

    def written(self) -> list[str]:
        return self.notes.read_text(encoding="utf-8").splitlines() if self.notes.exists() else []


def _turn(request: Any) -> Any:
    """Writes two lines side by side, then tells what became of them."""
    if request.messages[-1]["role"] == "tool":
        told = [str(m["content"]) for m in request.messages if m["role"] == "tool"]
        return {"answer": " / ".join("ok" if t == "written" else "refused" for t in told)}
    return {"calls": [{"note": {"text": "one"}}, {"note": {"text": "two"}}]}


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    with ExitStack() as exits:
        yield Replicas(tmp_path, exits, _turn)


def ask(client: Any, **body: Any) -> Any:
    given = {"input": "Write two lines.", **body}
    return client.post("/v1/responses", json=given, headers={"authorization": "Bearer a"}).json()


def requests_in(reply: Any) -> list[Any]:
    return [item for item in reply["output"] if item["type"] == "mcp_approval_request"]


def answer_to(reply: Any, *approve: bool) -> dict[str, Any]:
    items = [
        {"type": "mcp_approval_response", "approval_request_id": item["id"], "approve": one}
        for item, one in zip(requests_in(reply), approve, strict=False)
    ]
    return {"previous_response_id": reply["id"], "input": items}


def answered(client: Any, reply: Any, *approve: bool, **body: Any) -> Any:
    return ask(client, **answer_to(reply, *approve), **body)


def text_of(reply: Any) -> str:
    said = [item for item in reply["output"] if item["type"] == "message"]
    return str(said[-1]["content"][0]["text"]) if said else ""


@pytest.mark.parametrize(("typed", "said"), [("y\n", "Noted."), ("n\n", "Noted.")])
def test_the_example_asks_a_person(
    typed: str, said: str, tmp_path: Path, running_program: Any
) -> None:
    """OpenAI's own client reads the items."""
    script = Path(__file__).parents[2] / "examples" / "approve_over_http.py"
    program = Path(__file__).with_name("serve_store_program.py")
    scenario = Scenario().turn(calls=[("note", {})]).answer("Noted.")
    with ScriptedServer(scenario) as server:
        words = (program, server.url, str(tmp_path), str(tmp_path / "chats.db"), "ask")
        with running_program(*words) as served:
            done = subprocess.run(
                [sys.executable, str(script), f"{served.url}/v1", "Note it."],
                input=typed,
                capture_output=True,
                encoding="utf-8",
                timeout=240,
                check=False,
            )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"note {{}} [y/n] {said}\n"
    assert (tmp_path / "notes").exists() == (typed == "y\n")


def test_an_approval_is_given_at_another_server_and_counts_once(replicas: Replicas) -> None:
    reply = ask(replicas.start())
    assert reply["status"] == "completed"
    asked = [(item["name"], json.loads(item["arguments"])) for item in requests_in(reply)]
    assert asked == [("note", {"text": "one"}), ("note", {"text": "two"})]
    assert replicas.written() == []
    other = replicas.start()
    ended = answered(other, reply, True, False)
    assert text_of(ended) == "ok / refused"
    assert replicas.written() == ["one"]
    requests = replicas.requests
    assert text_of(answered(other, reply, True, True)) == "ok / refused"  # a client tries again
    assert replicas.written() == ["one"]
    assert replicas.requests == requests


def test_what_is_not_answered_waits_on(replicas: Replicas) -> None:
    client = replicas.start()
    reply = ask(client)
    waiting = answered(client, reply, True)
    assert replicas.written() == ["one"]
    (left,) = requests_in(waiting)
    assert left["id"] == requests_in(reply)[1]["id"]
    assert text_of(answered(replicas.start(), waiting, True)) == "ok / ok"
    assert sorted(replicas.written()) == ["one", "two"]


def test_a_stream_and_a_reply_in_the_background_ask_as_well(replicas: Replicas) -> None:
    client = replicas.start()
    lines = client.post("/v1/responses", json={"input": "Write.", "stream": True}).text.splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    added = [e["item"] for e in events if e["type"] == "response.output_item.added"]
    assert [item["type"] for item in added].count("mcp_approval_request") == 2
    assert events[-1]["type"] == "response.completed"
    assert len(requests_in(events[-1]["response"])) == 2
    body = answer_to(events[-1]["response"], True, True)
    assert text_of(client.post("/v1/responses", json=body).json()) == "ok / ok"  # not streamed
    replicas.notes.unlink()

    queued = ask(client, background=True)
    reply = queued
    while reply["status"] in ("queued", "in_progress"):
        headers = {"authorization": "Bearer a"}
        reply = client.get(f"/v1/responses/{queued['id']}", headers=headers).json()
    assert len(requests_in(reply)) == 2
    assert text_of(answered(client, reply, True, True)) == "ok / ok"
    assert sorted(replicas.written()) == ["one", "two"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"approval_request_id": "mcpr_none", "approve": True}, "asks for no approval"),
        ({"approval_request_id": "mcpr_none"}, "is not complete"),
        ({"approve": True}, "is not complete"),
    ],
)
def test_an_answer_to_nothing_is_refused(replicas: Replicas, body: Any, said: str) -> None:
    client = replicas.start()
    reply = ask(client)
    item = {"type": "mcp_approval_response", **body}
    assert said in ask(client, previous_response_id=reply["id"], input=[item])["error"]["message"]
    assert (
        "needs `previous_response_id`"
        in ask(client, input=[{**item, "approval_request_id": "x", "approve": True}])["error"][
            "message"
        ]
    )
    assert replicas.written() == []


def test_another_token_answers_nothing(replicas: Replicas) -> None:
    client = replicas.start()
    reply = ask(client)
    items = [
        {"type": "mcp_approval_response", "approval_request_id": item["id"], "approve": True}
        for item in requests_in(reply)
    ]
    body = {"previous_response_id": reply["id"], "input": items}
    answer = client.post("/v1/responses", json=body, headers={"authorization": "Bearer b"})
    assert answer.status_code == 404
    assert replicas.written() == []


def test_a_server_that_asks_nobody_says_so(replicas: Replicas) -> None:
    client = replicas.start(approvals=False)
    assert text_of(ask(client)) == "refused / refused"
    item = {"type": "mcp_approval_response", "approval_request_id": "x", "approve": True}
    reply = ask(client, previous_response_id="resp_x", input=[item])
    assert "asks for no approvals" in reply["error"]["message"]
    with pytest.raises(ConfigError, match="--store"):
        replicas.start(store="")


def test_a_reply_that_is_deleted_leaves_no_steps(replicas: Replicas) -> None:
    client = replicas.start()
    reply = ask(client)
    assert SessionDatabase(replicas.store).names()
    client.delete(f"/v1/responses/{reply['id']}", headers={"authorization": "Bearer a"})
    assert SessionDatabase(replicas.store).names() == []
