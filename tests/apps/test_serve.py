"""`qwenbelt serve` seen by the official OpenAI client."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from qwenbelt.apps.serve.app import AgentServer, ServeOptions
from qwenbelt.apps.serve.figures import Links, Shelf
from qwenbelt.core.errors import ConfigError

SCENARIO = """
conversations:
  - say: Draw
    turns:
      - think: I draw.
        calls: [{draw: {word: x}}]
      - text: "Here: ![it](drawing.png) done."
  - say: Wait
    turns:
      - calls: [{wait: {}}]
      - text: Waited.
  - say: Mail
    turns:
      - calls: [{mail: {}}]
      - text: I may not.
  - say: Files
    turns:
      - calls: [{files: {}}]
      - text: "Seen: ${files}"
  - say: Break
    turns:
      - text: "It begins and then breaks off, long before its end."
        faults: [{cut_after: 1200, times: 99}]
  - say: Break again
    turns:
      - text: "It begins and then breaks off, long before its end."
        faults: [{cut_after: 1200, times: 99}]
  - say: Attack
    turns:
      - text: "![a](../../../etc/passwd) [b](file:///etc/passwd) ![c](drawing.png)"
  - say: Two texts
    turns:
      - text: Let me look.
        calls: [{files: {}}]
      - text: It is so.
  - say: A person
    turns:
      - calls: [{draw: {}}]
      - text: '{"name": "Ann"}'
  - say: Fail
    turns:
      - faults: [{status: 500, times: 99}]
  - say: Limit
    turns:
      - faults: [{status: 429, retry_after: 0.01, times: 99}]
"""


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, running_program: Any
) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("serve")
    (folder / "s.yaml").write_text(SCENARIO, encoding="utf-8")
    program = Path(__file__).with_name("serve_program.py")
    with running_program(program, folder / "s.yaml", folder / "kept") as found:
        yield f"{found.url}/", folder / "kept"


@pytest.fixture
def client(server: tuple[str, Path]) -> Iterator[openai.OpenAI]:
    http = httpx.Client(trust_env=False, timeout=90)
    with openai.OpenAI(
        base_url=f"{server[0]}v1", api_key="x", max_retries=0, http_client=http
    ) as c:
        yield c


def ask(client: openai.OpenAI, text: Any, **settings: Any) -> Any:
    messages: Any = [{"role": "user", "content": text}]
    return client.chat.completions.create(model="qwenbelt", messages=messages, **settings)


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["qwenbelt"]
    assert client.models.retrieve("qwenbelt").id == "qwenbelt"


def test_a_whole_answer(client: openai.OpenAI) -> None:
    reply = ask(client, "Draw")
    message = reply.choices[0].message
    assert message.content.startswith("Here: ![it](http://127.0.0.1:")
    assert "→ draw" in message.reasoning_content
    assert "✓ draw" in message.reasoning_content
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens > 0
    address = message.content.partition("](")[2].partition(")")[0]
    picture = httpx.get(address, trust_env=False)
    assert picture.content == b"\x89PNG"
    assert picture.headers["content-type"] == "image/png"


def test_a_streamed_answer(client: openai.OpenAI) -> None:
    chunks = list(ask(client, "Draw", stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text.startswith("Here: ![it](http://127.0.0.1:")
    assert text.endswith("drawing.png) done.")
    thoughts = [getattr(c.choices[0].delta, "reasoning_content", "") for c in chunks if c.choices]
    assert "I draw." in "".join(filter(None, thoughts))
    assert chunks[-1].usage.total_tokens > 0
    finishes = [c.choices[0].finish_reason for c in chunks if c.choices]
    assert finishes[-1] == "stop"
    assert set(finishes[:-1]) == {None}


def test_responses_whole_and_streamed(client: openai.OpenAI) -> None:
    reply = client.responses.create(model="qwenbelt", input="Draw")
    assert reply.output_text.startswith("Here: ![it](http")
    assert reply.status == "completed"
    assert reply.usage is not None
    with client.responses.stream(model="qwenbelt", input="Draw") as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_response()
    assert final.output_text.endswith("done.")
    assert {"response.output_text.delta", "response.completed"} <= kinds


def test_a_call_with_effects_is_refused(client: openai.OpenAI) -> None:
    reply = ask(client, "Mail")
    assert "✗ mail" in reply.choices[0].message.reasoning_content


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_the_run(
    client: openai.OpenAI, server: tuple[str, Path], stream: bool
) -> None:
    name = f"leaving-{stream}"
    body = {"model": "qwenbelt", "messages": [{"role": "user", "content": "Wait"}]}
    headers = {"x-session-id": name}
    before = set(server[1].glob("*/begun"))
    with httpx.Client(trust_env=False, timeout=8) as http:
        url = f"{server[0]}v1/chat/completions"
        with pytest.raises(httpx.ReadTimeout):
            with http.stream("POST", url, json={**body, "stream": stream}, headers=headers) as r:
                list(r.iter_lines())
    end = time.monotonic() + 60
    begun = set(server[1].glob("*/begun")) - before
    assert len(begun) == 1
    stopped = begun.pop().with_name("stopped")
    while not stopped.is_file():
        assert time.monotonic() < end
        time.sleep(0.05)
    health = httpx.get(f"{server[0]}healthz", trust_env=False).json()
    assert health["status"] == "ok"


def test_a_stream_that_the_client_closes_ends_the_run(
    client: openai.OpenAI, server: tuple[str, Path]
) -> None:
    before = set(server[1].glob("*/begun"))
    stream = ask(client, "Wait", stream=True, extra_headers={"x-session-id": "closing"})
    end = time.monotonic() + 60
    while not (begun := set(server[1].glob("*/begun")) - before):
        next(stream)
        assert time.monotonic() < end
    stream.close()
    while not begun.copy().pop().with_name("stopped").is_file():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_files_come_in_by_base64(client: openai.OpenAI) -> None:
    data = base64.b64encode(b"a,b\n1,2\n").decode()
    file = {
        "type": "file",
        "file": {"filename": "t.csv", "file_data": f"data:text/csv;base64,{data}"},
    }
    reply = ask(client, [{"type": "text", "text": "Files"}, file])
    assert reply.choices[0].message.content == "Seen: t.csv=8"


def test_pictures_come_in_as_data_urls(client: openai.OpenAI) -> None:
    url = f"data:image/png;base64,{base64.b64encode(b'12345').decode()}"
    picture = {"type": "image_url", "image_url": {"url": url}}
    reply = ask(client, [{"type": "text", "text": "Files"}, picture])
    assert reply.choices[0].message.content == "Seen: image.png=5"
    part: Any = {"type": "input_image", "image_url": url, "detail": "auto"}
    item: Any = {"role": "user", "content": [{"type": "input_text", "text": "Files"}, part]}
    answer = client.responses.create(model="qwenbelt", input=[item])
    assert answer.output_text == "Seen: image.png=5"


def test_a_break_in_mid_stream_is_an_error(client: openai.OpenAI) -> None:
    told: list[str] = []

    def read() -> None:
        for chunk in ask(client, "Break", stream=True):
            told.append(chunk.choices[0].delta.content or "")

    with pytest.raises(openai.APIError):
        read()
    assert "".join(told).startswith("It begins")
    with client.responses.stream(model="qwenbelt", input="Break again") as stream:
        kinds = [event.type for event in stream]
    assert kinds[-1] == "response.failed"


def test_only_files_of_the_run_get_an_address(client: openai.OpenAI) -> None:
    reply = ask(client, "Attack")
    assert reply.choices[0].message.content == (
        "![a](../../../etc/passwd) [b](file:///etc/passwd) ![c](drawing.png)"
    )


def test_a_session_keeps_its_folder(client: openai.OpenAI, server: tuple[str, Path]) -> None:
    before = len(list(server[1].glob("*")))
    for _ in range(2):
        ask(client, "Draw", extra_headers={"x-session-id": "same"})
    assert len(list(server[1].glob("*"))) == before + 1


@pytest.mark.parametrize(
    ("change", "status", "part"),
    [
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, 400, "role"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "user"),
        ({"model": "gpt-4"}, 404, "gpt-4"),
        ({"n": 2}, 400, "n"),
        ({"tool_choice": "required"}, 400, "response_format"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "tools"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}
                        ],
                    }
                ]
            },
            400,
            "http",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/x.png"}}
                        ],
                    }
                ]
            },
            403,
            "private",
        ),
    ],
)
def test_wrong_requests(
    client: openai.OpenAI, change: dict[str, Any], status: int, part: str
) -> None:
    body = {"model": "qwenbelt", "messages": [{"role": "user", "content": "Draw"}], **change}
    with pytest.raises(openai.APIStatusError, match=part) as error:
        client.chat.completions.create(**body)
    assert error.value.status_code == status


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("say", "status"), [("Fail", 502), ("Limit", 429)])
def test_a_failing_endpoint_is_a_status(
    client: openai.OpenAI, say: str, status: int, stream: bool
) -> None:
    with pytest.raises(openai.APIStatusError) as error:
        ask(client, say, stream=stream)
    assert error.value.status_code == status


@pytest.mark.parametrize("key", ["previous_response_id", "conversation", "background"])
def test_what_is_kept_elsewhere_is_not_known(client: openai.OpenAI, key: str) -> None:
    told = rf"--store.*`{key}` works|`{key}` needs .*--store"
    with pytest.raises(openai.BadRequestError, match=told):
        client.responses.create(model="qwenbelt", input="Draw", extra_body={key: "x_1"})


def test_another_route_is_an_error_that_clients_can_read(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="/v1/embeddings is not served") as error:
        client.embeddings.create(model="qwenbelt", input="x")
    assert error.value.type == "invalid_request_error"


@pytest.mark.parametrize("stream", [True, False])
def test_texts_of_two_replies_are_two_paragraphs(client: openai.OpenAI, stream: bool) -> None:
    reply = ask(client, "Two texts", stream=stream)
    if stream:
        text = "".join(c.choices[0].delta.content or "" for c in reply if c.choices)
    else:
        text = reply.choices[0].message.content
    assert text == "Let me look.\n\nIt is so."


def test_a_typed_answer_is_json_and_nothing_else(client: openai.OpenAI) -> None:
    """A picture that a tool made stands behind no JSON; the reply tells the form asked for."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    reply = ask(client, "A person", response_format=form)
    assert reply.choices[0].message.content == '{"name": "Ann"}'
    text: Any = {"format": {"type": "json_schema", "name": "person", "schema": schema}}
    with client.responses.stream(model="qwenbelt", input="A person", text=text) as stream:
        final = stream.get_final_response()
    assert final.output_text == '{"name": "Ann"}'
    assert final.text is not None
    assert final.text.format is not None
    assert final.text.format.type == "json_schema"


def test_a_third_partys_client(server: tuple[str, Path]) -> None:
    """Pydantic AI's: a stream with its thoughts, a picture, an error."""
    pydantic_ai = pytest.importorskip("pydantic_ai")
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    async def talk() -> None:
        async with openai.AsyncOpenAI(
            base_url=f"{server[0]}v1",
            api_key="x",
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(trust_env=False, timeout=60),
        ) as http:
            model = OpenAIChatModel("qwenbelt", provider=OpenAIProvider(openai_client=http))
            agent = pydantic_ai.Agent(model)
            async with agent.run_stream("Draw") as stream:
                pieces = [piece async for piece in stream.stream_text(delta=True)]
            assert "".join(pieces).endswith("drawing.png) done.")
            assert "→ draw" in str(stream.all_messages()[-1])
            picture = pydantic_ai.BinaryContent(b"12345", media_type="image/png")
            reply = await agent.run(["Files", picture])
            assert reply.output == "Seen: image.png=5"
            with pytest.raises(pydantic_ai.ModelHTTPError) as error:
                await agent.run("Limit")
            assert error.value.status_code == 429

    asyncio.run(talk())


def test_the_example_serves_an_agent(tmp_path: Path, running_example: Any) -> None:
    (tmp_path / "s.yaml").write_text(
        "say: How warm is 212 F?\n"
        "turns:\n- calls: [{celsius: {fahrenheit: 212}}]\n- answer: '${celsius} C.'\n",
        encoding="utf-8",
    )
    with running_example("serve_agent.py", tmp_path) as url:
        body = {"messages": [{"role": "user", "content": "How warm is 212 F?"}]}
        reply = httpx.post(f"{url}/chat/completions", json=body, trust_env=False, timeout=60)
        text = reply.json()["choices"][0]["message"]["content"]
    assert "> ✓ celsius" in text
    assert text.endswith("100.0 C.")


def test_metrics(client: openai.OpenAI, server: tuple[str, Path]) -> None:
    ask(client, "Draw")
    text = httpx.get(f"{server[0]}metrics", trust_env=False).text
    assert 'qwenbelt_requests_total{path="/v1/chat/completions",status="200"}' in text
    assert "qwenbelt_runs_running 0" in text
    assert 'qwenbelt_run_seconds_bucket{le="+Inf"}' in text


def test_other_origins_and_names_are_refused(server: tuple[str, Path]) -> None:
    url = f"{server[0]}v1/models"
    evil = {"origin": "https://evil.example"}
    assert httpx.get(url, headers=evil, trust_env=False).status_code == 403
    assert httpx.get(url, headers={"host": "evil.example"}, trust_env=False).status_code == 421


def test_a_public_address_needs_a_token() -> None:
    with pytest.raises(ConfigError, match="--token"):
        AgentServer(None, ServeOptions(host="0.0.0.0"), set())


def test_a_token_is_asked_for() -> None:
    from starlette.testclient import TestClient

    app = AgentServer(None, ServeOptions(host="0.0.0.0", token="secret-token"), set()).app()
    http = TestClient(app, "http://chat.example")
    assert http.get("/healthz").status_code == 200
    for path in ("/v1/models", "/metrics"):
        assert http.get(path).status_code == 401
        assert http.get(path, headers={"authorization": "Bearer wrong"}).status_code == 401
        assert http.get(path, headers={"authorization": "Bearer secret-token"}).status_code == 200


def test_links_are_rewritten_wherever_the_stream_cuts(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    text = "See ![a](a.png), [b](https://x.example/a.png), [c](other.png) and [d]. ](a.png)"
    for size in (1, 2, 3, 5, 100):
        links = Links(Shelf(), "http://h")
        links.add([str(tmp_path / "a.png")])
        out = "".join(links.feed(text[at : at + size]) for at in range(0, len(text), size))
        out += links.finish()
        assert out.count("](http://h/files/") == 2, size
        assert "](https://x.example/a.png)" in out
        assert "](other.png)" in out
    links = Links(Shelf(), "http://h")
    links.add([str(tmp_path / "a.png")])
    assert links.feed("No picture.") + links.finish() == "No picture.\n\n" + _picture(links)


def _picture(links: Links) -> str:
    (address,) = links._known.values()
    return f"![a.png]({address})"


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 5000, b"[" + b"1," * 1_000_001, b"\xff{", b"1"],
    ids=["deep", "unclosed", "many values", "no text", "no object"],
)
@pytest.mark.parametrize("path", ["chat/completions", "responses"])
def test_bodies_that_cannot_be_taken_are_the_clients_fault(
    server: Any, path: str, body: bytes
) -> None:
    headers = {"content-type": "application/json"}
    got = httpx.post(f"{server[0]}v1/{path}", content=body, headers=headers, trust_env=False)
    assert got.status_code == 400
    assert got.json()["error"]["type"] == "invalid_request_error"
