"""Cassettes: recording through the proxy, replaying without it, misses, keys, pictures."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from qwenbelt.core.errors import ConfigError, InputError
from qwenbelt.testing import CassetteMissed, CassetteServer, Scenario, ScriptedServer
from qwenbelt.testing.cassettes.cassette import canonical_request, first_difference

KEY = "sk-test-0123456789abcdefghij"
PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG picture").decode()


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10) as http:
        yield http


def ask(client: httpx.Client, url: str, content: Any, **body: Any) -> httpx.Response:
    payload = {"model": "m", "messages": [{"role": "user", "content": content}], **body}
    headers = {"Authorization": f"Bearer {KEY}"}
    return client.post(url + "/chat/completions", json=payload, headers=headers)


def taped(path: Path, client: httpx.Client, *questions: str, **body: Any) -> list[bytes]:
    scenario = Scenario(wire={"bytes": 5}, api_key=KEY)
    for number in range(len(questions)):
        scenario.answer(f"answer {number} 平均")
    with (
        ScriptedServer(scenario) as real,
        CassetteServer(path, record="new", upstream=real.url) as tape,
    ):
        return [ask(client, tape.url, question, **body).content for question in questions]


def test_what_was_recorded_is_replayed_byte_for_byte(tmp_path: Path, client: httpx.Client) -> None:
    path = tmp_path / "a.cassette.yaml"
    live = taped(path, client, "one", "two", stream=True)
    with CassetteServer(path) as tape:
        replies = [ask(client, tape.url, q, stream=True, seed=7, user="me") for q in ("one", "two")]
        assert [reply.content for reply in replies] == live
        assert replies[0].headers["content-type"].startswith("text/event-stream")
        tape.assert_complete()
    kept = yaml.safe_load(path.read_text(encoding="utf-8"))["recordings"][0]["reply"]
    assert len(kept["chunks"]) > 20, "chunk boundaries are kept"
    assert "".join(kept["chunks"]).encode() == live[0]
    assert kept["says"]["text"] == "answer 0 平均"


def test_the_key_is_nowhere_in_the_files(tmp_path: Path, client: httpx.Client) -> None:
    taped(tmp_path / "a.cassette.yaml", client, "one")
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert KEY.encode() not in file.read_bytes()
            assert KEY[3:].encode() not in file.read_bytes()


def test_a_text_that_looks_like_a_key_is_not_written(tmp_path: Path, client: httpx.Client) -> None:
    path = tmp_path / "a.cassette.yaml"
    with pytest.raises(InputError, match=r"request\.messages\[0\]\.content looks like a key"):
        taped(path, client, "my other key is sk-abcdefghijklmnopqrstuvwx")
    assert not path.exists()


def test_replay_never_touches_the_endpoint_and_a_miss_is_loud(
    tmp_path: Path, client: httpx.Client
) -> None:
    path = tmp_path / "a.cassette.yaml"
    taped(path, client, "What is the mean strength?", "And the median?", temperature=0.5)
    with CassetteServer(path) as tape:
        missed = ask(client, tape.url, "What is the mean weight?", temperature=0.5)
        assert missed.status_code == 400
        message = missed.json()["error"]["message"]
        assert "the nearest is recording 1 of 2" in message
        assert "messages[0].content: character 17: recorded" in message
        assert "'What is the mean strength?'" in message
        assert "'What is the mean weight?'" in message
        other = ask(client, tape.url, "And the median?", temperature=0.1).json()["error"]["message"]
        assert "temperature: recorded 0.5, asked 0.1" in other
        with pytest.raises(CassetteMissed) as caught:
            tape.assert_complete()
    assert "recording 2 of a.cassette.yaml was not played" in str(caught.value)
    assert "'And the median?'" in str(caught.value)


def test_a_recording_is_played_once(tmp_path: Path, client: httpx.Client) -> None:
    path = tmp_path / "a.cassette.yaml"
    taped(path, client, "one", "one")
    with CassetteServer(path) as tape:
        said = [ask(client, tape.url, "one").json()["choices"][0]["message"] for _ in range(2)]
        assert [m["content"][:8] for m in said] == ["answer 0", "answer 1"]
        again = ask(client, tape.url, "one").json()["error"]["message"]
        assert "all 2 recordings of this request have been played" in again


def test_new_records_only_what_is_missing_and_rewrite_all(
    tmp_path: Path, client: httpx.Client
) -> None:
    path = tmp_path / "a.cassette.yaml"
    taped(path, client, "one")
    with ScriptedServer(Scenario().answer("later"), plays=None) as real:
        with CassetteServer(path, record="new", upstream=real.url) as tape:
            assert "answer 0" in ask(client, tape.url, "one").text
            assert "later" in ask(client, tape.url, "two").text
        assert len(real.requests) == 1
        with CassetteServer(path, record="rewrite", upstream=real.url) as tape:
            assert "later" in ask(client, tape.url, "one").text
    assert len(CassetteServer(path).cassette.recordings) == 1


def test_refusals_are_handed_on_and_not_kept(tmp_path: Path, client: httpx.Client) -> None:
    path = tmp_path / "a.cassette.yaml"
    scenario = Scenario().answer("ok", faults={"status": 429, "retry_after": 2})
    with (
        ScriptedServer(scenario) as real,
        CassetteServer(path, record="new", upstream=real.url) as tape,
    ):
        busy = ask(client, tape.url, "x")
        assert (busy.status_code, busy.headers["retry-after"]) == (429, "2")
        assert ask(client, tape.url, "x").status_code == 200
    assert len(CassetteServer(path).cassette.recordings) == 1
    with CassetteServer(path, record="rewrite", upstream="http://127.0.0.1:9") as tape:
        gone = ask(client, tape.url, "x")
        assert gone.status_code == 502
        assert "cannot be reached" in gone.json()["error"]["message"]


def test_pictures_are_kept_once_by_hash(tmp_path: Path, client: httpx.Client) -> None:
    path = tmp_path / "a.cassette.yaml"
    content = [{"type": "image_url", "image_url": {"url": PNG}}, {"type": "text", "text": "what?"}]
    with (
        ScriptedServer(Scenario().answer("a").answer("b")) as real,
        CassetteServer(path, record="new", upstream=real.url) as tape,
    ):
        ask(client, tape.url, content)
        ask(client, tape.url, [*content, {"type": "text", "text": "more"}])
    assert [f.read_bytes() for f in (tmp_path / "images").iterdir()] == [b"\x89PNG picture"]
    assert "base64" not in path.read_text(encoding="utf-8")
    with CassetteServer(path) as tape:
        assert ask(client, tape.url, content).json()["choices"][0]["message"]["content"] == "a"


def test_what_differs_from_run_to_run_does_not_matter(tmp_path: Path) -> None:
    def body(call_id: str, folder: str, arguments: str) -> dict[str, Any]:
        function = {"name": "read", "arguments": arguments}
        call = {"id": call_id, "type": "function", "function": function}
        return {
            "model": "m",
            "seed": 3 if call_id == "a" else 4,
            "messages": [
                {"role": "assistant", "tool_calls": [call]},
                {
                    "role": "tool",
                    "tool_call_id": call_id,
                    "content": f"{folder}/x.png in 0.41 s at 2026-01-02 10:00:00, batch {call_id}",
                },
            ],
        }

    one = canonical_request(body("a", "/tmp/tmpabcdef12", '{"a":1, "b":2}'), [("batch .", "batch")])
    two = canonical_request(
        body("b", "/tmp/tmpzzzzzz99", '{"b": 2, "a": 1}'), [("batch .", "batch")]
    )
    assert one == two
    assert "batch" in first_difference(
        canonical_request(body("a", "/t", "{}")), canonical_request(body("b", "/t", "{}"))
    )


def test_bad_cassettes_and_options_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Recording needs an endpoint"):
        CassetteServer(tmp_path / "x.yaml", record="new")
    with pytest.raises(ConfigError, match="must be one of none, new, rewrite"):
        CassetteServer(tmp_path / "x.yaml", record="always")
    for text in ("{", "version: 2\nrecordings: []", "version: 1", "- 1"):
        path = tmp_path / "broken.yaml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError) as caught:
            CassetteServer(path)
        assert "\n" not in str(caught.value)


def test_the_pace_can_be_kept(tmp_path: Path, client: httpx.Client) -> None:
    path = tmp_path / "a.cassette.yaml"
    taped(path, client, "one", stream=True)
    value = yaml.safe_load(path.read_text(encoding="utf-8"))
    value["recordings"][0]["reply"]["delays"][1] = 200
    path.write_text(json.dumps(value), encoding="utf-8")
    with CassetteServer(path, pace=1) as tape:
        assert ask(client, tape.url, "one", stream=True).elapsed.total_seconds() >= 0
        tape.assert_complete()
