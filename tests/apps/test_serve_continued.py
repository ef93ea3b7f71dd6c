"""`previous_response_id`: what tools keep for a conversation is there in its next question."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.testclient import TestClient

from qwenbelt import FnCallAgent
from qwenbelt.apps.serve.app import AgentServer, ServeOptions
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools import Tool


class Nothing(BaseModel):
    pass


class Count(Tool):
    """Counts how often it was called in the folder of a conversation."""

    name = "count"
    description = "Counts."
    Arguments = Nothing

    def call(self, params: Any, **kwargs: Any) -> str:
        with (kwargs["context"].folder / "count").open("a+", encoding="utf-8") as file:
            file.write("x")
            file.seek(0)
            return f"count {len(file.read())}"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    def next_turn(request: Any) -> Any:
        last = request.messages[-1]
        if last["role"] == "tool":
            return {"answer": str(last["content"])}
        return {"calls": [{"count": {}}]}

    scenario = Scenario()
    for _ in range(20):
        scenario.turn(compute=next_turn)
    with ScriptedServer(scenario, plays=None, strict=False) as server:
        agent = FnCallAgent([Count()], server.llm, approve="auto")
        options = ServeOptions(folder=tmp_path / "kept", store=str(tmp_path / "chats.db"))
        app = AgentServer(agent, options, set()).app()
        with TestClient(app, base_url="http://127.0.0.1") as found:
            yield found


def ask(client: Any, content: Any = "And now?", token: str = "", **fields: Any) -> tuple[str, str]:
    body = {"input": [{"role": "user", "content": content}], **fields}
    headers = {"authorization": f"Bearer {token}"} if token else {}
    reply = client.post("/v1/responses", json=body, headers=headers).json()
    return reply["id"], reply["output"][-1]["content"][0]["text"]


def test_a_question_that_goes_on_finds_what_tools_kept(client: Any) -> None:
    first, said = ask(client)
    assert said == "count 1"
    second, said = ask(client, previous_response_id=first)
    assert said == "count 2"
    assert ask(client, previous_response_id=second)[1] == "count 3"
    assert ask(client, previous_response_id=first)[1] == "count 4"  # the same conversation
    assert ask(client)[1] == "count 1"  # another one


def test_nobody_enters_the_folder_of_another(client: Any, tmp_path: Path) -> None:
    ask(client)
    (folder,) = [path.parent.name for path in (tmp_path / "kept").rglob("count")]
    named, said = ask(client, qwenbelt_folder=folder)
    assert said == "count 1"
    assert ask(client, previous_response_id=named)[1] == "count 2"
    assert (tmp_path / "kept" / folder / "count").read_text(encoding="utf-8") == "x"


def test_files_of_one_name_stay_two_and_the_same_file_is_kept_once(
    client: Any, tmp_path: Path
) -> None:
    def with_file(text: str) -> list[dict[str, str]]:
        data = base64.b64encode(text.encode()).decode()
        file = {"type": "input_file", "filename": "a.txt"}
        file["file_data"] = f"data:text/plain;base64,{data}"
        return [{"type": "input_text", "text": "Read it."}, file]

    first, _ = ask(client, with_file("one"))
    second, _ = ask(client, with_file("two"), previous_response_id=first)
    third, _ = ask(client, with_file("three"), previous_response_id=first)
    ask(client, previous_response_id=second)
    ask(client, previous_response_id=third)
    kept = [path.read_text(encoding="utf-8") for path in (tmp_path / "kept").rglob("*a.txt")]
    assert sorted(kept) == ["one", "three", "two"]
