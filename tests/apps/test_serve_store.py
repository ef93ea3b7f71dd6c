"""`qwenbelt serve --store`: replies that any replica knows, and finishes when one dies."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from qwenbelt.apps.serve.response_store import ResponseStore, StoredResponse
from qwenbelt.testing import ScriptedServer

sys.path.append(str(Path(__file__).parents[1] / "documents"))
from cluster import store_place

SCENARIO = """
conversations:
  - say: My name is Ann.
    turns:
      - answer: Hello Ann.
      - answer: "You are Ann: ${user}"
  - say: Long work
    turns:
      - calls: [{note: {}}]
      - calls: [{hold: {}}]
      - answer: All done.
  - say: Never mind
    turns:
      - calls: [{hold: {}}]
      - answer: Not reached.
  - say: Broken
    turns:
      - faults: [{status: 401, times: 99}]
"""
PATIENCE = 120.0  # a busy machine
PROGRAM = Path(__file__).with_name("serve_store_program.py")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[ScriptedServer]:
    text = SCENARIO.replace('"You are Ann: ${user}"', "You are Ann.")
    with ScriptedServer(text, plays=None) as server:
        yield server


KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(request.param)


@pytest.fixture(scope="module")
def store(folder: Path) -> Iterator[str]:
    with store_place("sqlite" if folder.name.startswith("sqlite") else "postgres", folder) as place:
        yield place


class Replica:
    """One server with a client."""

    def __init__(self, program: Any) -> None:
        self.process = program.process
        self.http = httpx.Client(base_url=f"{program.url}/v1", trust_env=False, timeout=PATIENCE)

    def post(self, path: str = "/responses", **body: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.post(path, json=body).json()
        return answer

    def get(self, identity: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(f"/responses/{identity}").json()
        return answer


@pytest.fixture(scope="module")
def replicas(
    endpoint: ScriptedServer, store: str, folder: Path, running_program: Any
) -> Iterator[tuple[Replica, Replica]]:
    with ExitStack() as stack:
        words = (PROGRAM, endpoint.url, str(folder), store)
        both = [Replica(stack.enter_context(running_program(*words))) for _ in range(2)]
        for replica in both:
            stack.callback(replica.http.close)
        yield both[0], both[1]


def until(holds: Callable[[], Any]) -> Any:
    """Waits for what comes; a busy machine may take its time."""
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)
    return found


def text_of(reply: dict[str, Any]) -> str:
    messages = [item for item in reply["output"] if item["type"] == "message"]
    return "".join(part["text"] for item in messages for part in item["content"])


def test_a_conversation_goes_on_at_another_replica(
    replicas: tuple[Replica, Replica], endpoint: ScriptedServer
) -> None:
    one, other = replicas
    first = one.post(input="My name is Ann.")
    assert text_of(first) == "Hello Ann."
    assert other.get(first["id"]) == first
    second = other.post(input="Who am I?", previous_response_id=first["id"])
    assert text_of(second) == "You are Ann."
    said = [(m["role"], m["content"]) for m in endpoint.requests[-1].request.messages]
    assert said == [
        ("user", "My name is Ann."),
        ("assistant", "Hello Ann."),
        ("user", "Who am I?"),
    ]
    with other.http.stream(
        "POST", "/responses", json={"input": "My name is Ann.", "stream": True}
    ) as stream:
        lines = [line for line in stream.iter_lines() if '"response.completed"' in line]
    identity = lines[-1].partition('"id": "')[2].partition('"')[0]
    assert text_of(one.get(identity)) == "Hello Ann."


def test_a_reply_is_cancelled_from_another_replica(
    replicas: tuple[Replica, Replica], folder: Path
) -> None:
    one, other = replicas
    begun = one.post(input="Never mind", background=True)
    until((folder / "holding").exists)
    cancelled = other.post(f"/responses/{begun['id']}/cancel")
    assert cancelled["status"] == "cancelled"
    health = str(one.http.base_url).removesuffix("/v1/") + "/healthz"
    until(lambda: one.http.get(health).json()["running"] == 0)
    (folder / "holding").unlink()
    assert one.get(begun["id"])["status"] == "cancelled"
    refused = one.post(input="And?", previous_response_id=begun["id"])
    assert "it cannot be gone on with" in refused["error"]["message"]


def test_what_cannot_be_had_is_said(replicas: tuple[Replica, Replica]) -> None:
    one, other = replicas
    gone = one.http.get("/responses/resp_none")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "response_not_found")
    unknown = one.http.post("/responses", json={"input": "Hi", "previous_response_id": "x"})
    assert unknown.status_code == 404
    both = one.http.post("/responses", json={"input": "Hi", "background": True, "stream": True})
    assert both.status_code == 400
    unkept = one.post(input="My name is Ann.", store=False)
    assert other.http.get(f"/responses/{unkept['id']}").status_code == 404
    kept = one.post(input="My name is Ann.")["id"]
    # whoever has another key neither reads it nor goes on with it
    stranger = {"authorization": "Bearer other"}
    assert other.http.get(f"/responses/{kept}", headers=stranger).status_code == 404
    assert other.http.delete(f"/responses/{kept}").json()["deleted"] is True
    assert one.http.get(f"/responses/{kept}").status_code == 404
    failed = one.post(input="Broken", background=True)["id"]
    reply = until(lambda: (r := other.get(failed))["status"] == "failed" and r)
    assert "401" in reply["error"]["message"]


def test_a_reply_of_a_replica_that_died_is_finished_by_another(
    replicas: tuple[Replica, Replica], folder: Path
) -> None:
    """The last one of these: a replica is gone after it."""
    one, other = replicas
    begun = one.post(input="Long work", background=True)
    assert begun["status"] == "queued"
    until((folder / "holding").exists)
    assert other.get(begun["id"])["status"] == "in_progress"
    one.process.kill()
    one.process.wait()
    (folder / "go").touch()
    reply = until(lambda: (r := other.get(begun["id"]))["status"] == "completed" and r)
    assert text_of(reply) == "All done."
    # the call that was recorded before is not made again
    assert (folder / "notes").read_text(encoding="utf-8") == "noted\n"


def test_a_reply_that_kills_its_replicas_is_given_up(tmp_path: Path) -> None:
    store = ResponseStore(str(tmp_path / "s.db"))
    store.put("o", StoredResponse("r", "in_progress", {"input": "x"}, {"output": []}), "a")
    tries = [store.take_over(name, -1)[0][2] for name in "bcde"]
    assert tries == [2, 3, 4, 5]
    store.end("r", "a", {"status": "completed"})  # which is no longer its own
    assert store.get("r", "o").status == "in_progress"  # type: ignore[union-attr]
    assert store.sign("e") == {"r"}
    store.let_go("e")
    assert store.take_over("f", 5) == [("r", {"input": "x"}, 5)]


def test_a_dump_is_read_into_another_store_whole_or_not_at_all(tmp_path: Path) -> None:
    from qwenbelt.agents.sessions.approvals import ApprovalTable
    from qwenbelt.agents.sessions.dump import dump_store, restore_store
    from qwenbelt.agents.sessions.session import Session, known_sessions
    from qwenbelt.core.errors import InputError
    from qwenbelt.core.events import ApprovalAsked

    place, other = str(tmp_path / "a.db"), str(tmp_path / "b.db")
    session = Session(place, "anna")
    session.turn_for([{"role": "user", "content": "问 \ud83d"}])
    ResponseStore(place).put("o", StoredResponse("r", "completed", {"input": "x"}, {"id": "r"}))
    ApprovalTable(place).ask("r1", ApprovalAsked("c", "send", "{}", "has effects"))
    assert dump_store(place, tmp_path / "d.jsonl") == 5
    assert restore_store(other, tmp_path / "d.jsonl") == 5
    assert ApprovalTable(other).waiting() == ApprovalTable(place).waiting() != []
    assert known_sessions(other) == known_sessions(place)
    assert Session(other, "anna").turns == session.turns
    assert ResponseStore(other).get("r", "o") == ResponseStore(place).get("r", "o")
    with pytest.raises(InputError):  # all of it is there already
        restore_store(other, tmp_path / "d.jsonl")
    with (tmp_path / "d.jsonl").open("a", encoding="utf-8") as file:
        file.write("not of a dump\n")
    with pytest.raises(InputError, match="line 6"):
        restore_store(str(tmp_path / "c.db"), tmp_path / "d.jsonl")
    assert Session(str(tmp_path / "c.db"), "anna").turns == []
    with pytest.raises(InputError, match="no such file"):
        dump_store(str(tmp_path / "missing.db"), tmp_path / "e.jsonl")


@pytest.mark.skipif(sys.platform == "win32", reason="needs sockets that are handed on")
def test_workers_share_a_port_and_one_that_dies_is_replaced(
    endpoint: ScriptedServer, tmp_path: Path, running_program: Any
) -> None:
    words = ["-c", "import sys; from qwenbelt.apps.cli import main; sys.exit(main())"]
    words += ["serve", "-e", f"openai:scripted@{endpoint.url}", "--port", "0", "--workers", "2"]
    home = {"QWENBELT_WORKSPACE": str(tmp_path), "OPENAI_API_KEY": "none"}
    with running_program(*words, **home) as program:
        http = httpx.Client(base_url=program.url, trust_env=False, timeout=PATIENCE)
        body = {"input": "My name is Ann."}
        first = http.post("/responses", json=body).json()
        assert text_of(first) == "Hello Ann."
        children = until(lambda: children_of(program.process.pid))
        os.kill(int(children[0]), signal.SIGKILL)
        until(lambda: (now := children_of(program.process.pid)) != children and len(now) == 2)
        assert http.get(f"/responses/{first['id']}").json() == first
        http.close()


def children_of(process: int) -> list[str]:
    path = Path(f"/proc/{process}/task/{process}/children")
    if not path.exists():
        pytest.skip("needs /proc")
    return path.read_text(encoding="ascii").split()
