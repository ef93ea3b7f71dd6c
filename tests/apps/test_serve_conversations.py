"""`serve --store`: a conversation of the terminal or the chat goes on over the API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from qwenbelt import FnCallAgent, Session
from qwenbelt.agents.sessions.session import known_sessions
from qwenbelt.apps.serve.app import AgentServer, ServeOptions
from qwenbelt.testing import Scenario, ScriptedServer


@pytest.fixture
def agent() -> Iterator[FnCallAgent]:
    scenario = Scenario()
    for _ in range(6):
        scenario.turn(compute=lambda request: {"answer": f"{len(request.messages)} messages"})
    with ScriptedServer(scenario, plays=None, strict=False) as server:
        yield FnCallAgent(llm=server.llm)


@pytest.fixture
def client(agent: FnCallAgent, tmp_path: Path) -> Iterator[Any]:
    options = ServeOptions(folder=tmp_path / "files", store=str(tmp_path / "chats.db"))
    with TestClient(AgentServer(agent, options, set()).app(), base_url="http://127.0.0.1") as found:
        yield found


def ask(client: Any, text: str, **fields: Any) -> Any:
    return client.post("/v1/responses", json={"model": "qwenbelt", "input": text, **fields})


def test_a_conversation_goes_on_over_the_api(
    client: Any, agent: FnCallAgent, tmp_path: Path
) -> None:
    place = tmp_path / "chats.db"
    agent.ask("I am Anna.", session=Session(place, "anna"))
    reply = ask(client, "Who am I?", conversation="anna").json()
    assert reply["conversation"] == {"id": "anna"}
    assert reply["output"][-1]["content"][0]["text"] == "3 messages"
    ask(client, "And now?", conversation={"id": "anna"})
    assert [turn[0]["content"] for turn in Session(place, "anna").turns] == [
        "I am Anna.",
        "Who am I?",
        "And now?",
    ]
    assert [known.name for known in known_sessions(place)] == ["anna"]


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"conversation": "run:secret"}, 404, "no conversation"),
        ({"conversation": "response-1"}, 404, "no conversation"),
        ({"conversation": "anna/web-1"}, 404, "no conversation"),
        ({"conversation": 7}, 400, "must be a name"),
        ({"conversation": "a", "instructions": "Be kind."}, 400, "does not go together"),
        ({"conversation": "a", "background": True}, 400, "does not go together"),
    ],
)
def test_what_is_not_for_the_api(client: Any, fields: Any, status: int, said: str) -> None:
    answer = ask(client, "x", **fields)
    assert answer.status_code == status
    assert said in answer.json()["error"]["message"]
