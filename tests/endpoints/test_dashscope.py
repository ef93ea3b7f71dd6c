"""DashScope's modes against a loopback server that refuses what the real one refuses."""

from __future__ import annotations

import base64
import json
import runpy
from pathlib import Path
from typing import Any

import dashscope as sdk
import pytest
from openai import OpenAI
from qwen_agent.llm import get_chat_model

import qwenbelt.agents  # noqa: F401  (registers the model)
from qwenbelt.agents.models.dashscope import DashScope
from qwenbelt.agents.models.encoding import SMALL_BYTES
from qwenbelt.agents.models.uploads import MAX_INLINE_BYTES
from qwenbelt.core.errors import ConfigError, EndpointError, InputError

KEY = "sk-0123456789abcdef"
# the body fields of the compatible mode and of the own protocol, by the API reference
CHAT = set(
    """model messages stream stream_options temperature top_p top_k max_tokens n seed stop
    presence_penalty repetition_penalty tools tool_choice parallel_tool_calls response_format
    enable_thinking thinking_budget enable_search search_options logprobs top_logprobs modalities
    audio vl_high_resolution_images""".split()
)
OWN_PARAMETERS = {
    "generation": set(
        """result_format enable_search search_options incremental_output temperature top_p
        max_tokens enable_thinking thinking_budget""".split()
    ),
    "multimodal": {"ocr_options"},
    "rerank": {"return_documents", "top_n", "instruct"},
}


class Refused(Exception):
    pass


def must(condition: object, why: str) -> None:
    if not condition:
        raise Refused(why)


def said(content: Any) -> dict[str, Any]:
    return {"finish_reason": "stop", "message": {"role": "assistant", "content": content}}


class Service:
    """Plays DashScope strictly; keeps the bodies that it accepted, by path."""

    def __init__(self, wire: Any) -> None:
        self.seen: list[tuple[str, Any]] = []
        self.batch_status = "in_progress"
        self.wire = wire
        self._reply = type(wire.page("").replies.pop())
        wire.replies.append(self.handle)
        self.url = wire.url.removesuffix("/v1") + "/compatible-mode/v1"

    def handle(self, request: Any) -> Any:
        try:
            key = request.headers.get("authorization") == f"Bearer {KEY}"
            must(key or request.path == "/bucket", "no key")
            if request.headers.get("content-type", "").startswith("multipart/form-data"):
                body: Any = request.body.decode("utf-8", "replace")
            else:
                body = json.loads(request.body) if request.body else None
            value = self.route(request, body)
            self.seen.append((request.path, body))
        except Refused as refused:
            error = {"code": "InvalidParameter", "message": str(refused)}
            return self.say({**error, "error": error, "request_id": "r"}, 400)
        return value if isinstance(value, self._reply) else self.say(value)

    def say(self, value: Any, status: int = 200) -> Any:
        return self._reply(json.dumps(value).encode(), status, {"Content-Type": "application/json"})

    def route(self, request: Any, body: Any) -> Any:
        path = request.path.partition("?")[0]
        if path == "/api/v1/uploads":
            return self.policy(request)
        if path == "/bucket":
            return self.bucket(body)
        if path == "/compatible-mode/v1/chat/completions":
            return self.chat(request, body)
        if path == "/api/v1/services/aigc/text-generation/generation":
            return self.own(body, "generation", [said("Sunny [1].")])
        if path == "/api/v1/services/aigc/multimodal-generation/generation":
            return self.own(body, "multimodal", [said([{"text": "read"}])])
        if path == "/api/v1/services/rerank/text-rerank/text-rerank":
            return self.rerank(body)
        if path == "/compatible-mode/v1/embeddings":
            return self.embeddings(body)
        if path.startswith("/compatible-mode/v1/files"):
            return self.files(request, body)
        if path.startswith("/compatible-mode/v1/batches"):
            return self.batches(request, body)
        raise Refused(f"no such path: {path}")

    def policy(self, request: Any) -> Any:
        must("action=getPolicy" in request.path and "model=" in request.path, "action and model")
        names = "signature policy x_oss_object_acl x_oss_forbid_overwrite".split()
        given = {name: name for name in names}
        host = self.url.removesuffix("/compatible-mode/v1") + "/bucket"
        where = {
            "oss_access_key_id": "id",
            "upload_dir": "dashscope-instant/d",
            "upload_host": host,
        }
        return {"data": {**given, **where, "upload_host": host}, "request_id": "r"}

    def bucket(self, body: Any) -> Any:
        names = "OSSAccessKeyId Signature policy key x-oss-object-acl success_action_status".split()
        must(all(f'name="{name}"' in body for name in names), "a field of the form is missing")
        must(body.rindex('name="file"') > body.index('name="key"'), "the file must come last")
        return {}

    def chat(self, request: Any, body: Any) -> Any:
        strange = set(body) - CHAT
        must(not strange, f"unknown fields: {sorted(strange)}")
        thinks = body.get("enable_thinking") is not False
        must(body.get("stream") or not thinks, "enable_thinking must be false when not streaming")
        must(
            "thinking_budget" not in body or body.get("enable_thinking"), "budget without thinking"
        )
        for message in body["messages"]:
            content = message["content"]
            parts = content if isinstance(content, list) else []
            kinds = {"text", "image_url", "input_audio", "video", "video_url"}
            must(all(part["type"] in kinds for part in parts), "unknown part")
            told = request.headers.get("x-dashscope-ossresourceresolve") == "enable"
            must("oss://" not in json.dumps(content) or told, "oss:// is not resolved")
        choice = {"index": 0, "message": {"role": "assistant", "content": "ok"}}
        return {"choices": [{**choice, "finish_reason": "stop"}]}

    def own(self, body: Any, kind: str, choices: Any) -> Any:
        must(set(body) == {"model", "input", "parameters"}, f"fields: {sorted(body)}")
        must(list(body["input"]) == ["messages"], "input must hold messages")
        strange = set(body["parameters"]) - OWN_PARAMETERS[kind]
        must(not strange, f"unknown parameters: {sorted(strange)}")
        output: dict[str, Any] = {"choices": choices}
        if body["parameters"].get("enable_search"):
            options = body["parameters"]["search_options"]
            must(
                options["enable_source"] or not options["enable_citation"], "citation needs source"
            )
            pages = [
                {"index": 1, "title": "T", "url": "https://t"},
                {"index": 2, "title": "no url"},
            ]
            output["search_info"] = {"search_results": pages}
        return {"output": output, "usage": {}, "request_id": "r"}

    def rerank(self, body: Any) -> Any:
        must(set(body["input"]) == {"query", "documents"}, "input")
        strange = set(body.get("parameters", {})) - OWN_PARAMETERS["rerank"]
        must(not strange, f"unknown parameters: {sorted(strange)}")
        results = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]
        return {"output": {"results": results}, "usage": {"total_tokens": 5}, "request_id": "r"}

    def embeddings(self, body: Any) -> Any:
        must(set(body) <= {"model", "input", "dimensions", "encoding_format"}, "fields")
        must(body["encoding_format"] == "float", "encoding_format must be float")
        must(
            1 <= len(body["input"]) <= 10, "batch size is invalid, it should not be larger than 10"
        )
        rows = [
            {"object": "embedding", "index": n, "embedding": [float(text), 0.0]}
            for n, text in enumerate(body["input"])
        ]
        return {"object": "list", "data": rows[::-1], "model": "m", "usage": {}}

    def files(self, request: Any, body: Any) -> Any:
        if request.method == "DELETE":
            return {"id": "f1", "deleted": True, "object": "file"}
        if request.path.endswith("/out/content"):
            good = {"custom_id": "1", "response": {"status_code": 200, "body": {"choices": []}}}
            return self._reply(json.dumps(good).encode() + b"\n")
        if request.path.endswith("/bad/content"):
            wrong = {"message": "too long", "code": "x"}
            bad = {"custom_id": "0", "response": {"status_code": 400, "body": {"error": wrong}}}
            return self._reply(json.dumps(bad).encode() + b"\n")
        purposes = ("file-extract", "batch")
        must(any(f'name="purpose"\r\n\r\n{p}\r\n' in body for p in purposes), "purpose")
        return {"id": "f1", "object": "file", "bytes": 3, "created_at": 1, "filename": "a",
                "purpose": "batch", "status": "processed"}  # fmt: skip

    def batches(self, request: Any, body: Any) -> Any:
        if request.method == "POST" and request.path.endswith("/batches"):
            must(body["endpoint"] in ("/v1/chat/completions", "/v1/embeddings"), "endpoint")
            must(body["completion_window"].endswith(("h", "d")), "completion_window")
            must(body["input_file_id"] == "f1", "input_file_id")
        counts = {"total": 2, "completed": 1, "failed": 1}
        return {
            "id": "b1",
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "created_at": 1,
            "input_file_id": "f1",
            "completion_window": "24h",
            "status": self.batch_status,
            "request_counts": counts,
            "output_file_id": "out",
            "error_file_id": "bad",
        }


@pytest.fixture
def service(wire: Any) -> Service:
    return Service(wire)


@pytest.fixture
def dashscope(service: Service) -> Any:
    made = DashScope(KEY, service.url)
    yield made
    made.close()


def chat(service: Service, content: Any, stream: bool = True, **generate: Any) -> dict[str, Any]:
    llm = {"model": "qwen-plus", "model_type": "qwenbelt", "model_server": service.url}
    llm |= {"api_key": KEY, "dialect": "dashscope", "generate_cfg": generate}
    found = get_chat_model(llm).chat([{"role": "user", "content": content}], stream=stream)
    last = found if isinstance(found, list) else list(found)[-1]
    assert last[0]["content"] == "ok"
    body: dict[str, Any] = service.seen[-1][1]
    return body


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("thinking", [None, True, False, 500])
def test_chat_with_and_without_thinking(service: Service, stream: bool, thinking: Any) -> None:
    chat(service, "hi", stream, thinking=thinking)


def test_chat_with_everything_it_takes(service: Service, tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(b"x")
    (tmp_path / "s.mp3").write_bytes(b"x")
    content = [
        {"text": "what is this?"},
        {"image": str(tmp_path / "p.png")},
        {"audio": str(tmp_path / "s.mp3")},
        {"video": "https://host/v.mp4"},
        {"video": ["https://host/1.jpg", "https://host/2.jpg"]},
        {"image": "oss://dashscope-instant/x/y.png"},
    ]
    body = chat(
        service, content, enable_search=True, search_options={"forced_search": True}, max_tokens=9
    )
    kinds = [part["type"] for part in body["messages"][0]["content"]]
    assert kinds == ["text", "image_url", "input_audio", "video_url", "video", "image_url"]


@pytest.mark.parametrize("name", ["v.mp4", "p.png", "s.mp3"])
def test_large_files_are_uploaded_once(service: Service, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    with file.open("wb") as made:
        made.truncate(SMALL_BYTES + 1)
    kind = {"v.mp4": "video", "p.png": "image", "s.mp3": "audio"}[name]
    for _ in range(2):
        body = chat(service, [{kind: str(file)}, {"text": "file:// is just text"}])
        sent = json.dumps(body["messages"])
        assert f"oss://dashscope-instant/d/{name}" in sent
        assert "file:// is just text" in sent
    assert [path for path, _ in service.seen].count("/bucket") == 1
    file.unlink()
    with pytest.raises(InputError, match=name):
        chat(service, [{kind: str(file)}])


def test_elsewhere_larger_files_go_inline_up_to_a_limit(wire: Any, tmp_path: Path) -> None:
    wire.message("ok")
    file = tmp_path / "v.mp4"
    for size in (SMALL_BYTES + 1, MAX_INLINE_BYTES + 1):
        with file.open("wb") as made:
            made.truncate(size)
        model = get_chat_model(wire.llm())
        asked = [{"role": "user", "content": [{"video": [str(file)]}]}]
        if size > MAX_INLINE_BYTES:
            with pytest.raises(InputError, match="over the limit of 21 MB"):
                model.chat(asked, stream=False)
        else:
            model.chat(asked, stream=False)
            (part,) = wire.bodies[-1]["messages"][0]["content"]
            assert part["video"][0].startswith("data:video/mp4;base64,AAAA")


@pytest.mark.parametrize("size", [3, SMALL_BYTES + 1])
def test_elsewhere_sound_is_base64_alone(wire: Any, tmp_path: Path, size: int) -> None:
    wire.message("ok")
    sound = tmp_path / "s.wav"
    with sound.open("wb") as made:
        made.truncate(size)
    asked = [{"role": "user", "content": [{"audio": str(sound)}, {"text": "data: what?"}]}]
    get_chat_model(wire.llm()).chat(asked, stream=False)
    first, second = wire.bodies[-1]["messages"][0]["content"]
    assert base64.b64decode(first["input_audio"]["data"], validate=True) == b"\0" * size
    assert second == {"type": "text", "text": "data: what?"}


def test_a_large_picture_for_reading_text(
    service: Service, dashscope: DashScope, tmp_path: Path
) -> None:
    file = tmp_path / "scan.png"
    with file.open("wb") as made:
        made.truncate(SMALL_BYTES + 1)
    assert dashscope.read_text(str(file)) == "read"
    (part,) = service.seen[-1][1]["input"]["messages"][0]["content"]
    assert part["image"] == "oss://dashscope-instant/d/scan.png"


def test_search_with_sources(service: Service, dashscope: DashScope) -> None:
    answer = dashscope.search("weather?", assigned_site_list=["t"])
    assert answer.text == "Sunny [1]."
    assert [(s.n, s.title, s.url) for s in answer.sources] == [(1, "T", "https://t")]
    parameters = service.seen[-1][1]["parameters"]
    assert parameters["search_options"]["assigned_site_list"] == ["t"]


def test_reading_text(service: Service, dashscope: DashScope, tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(b"x")
    assert dashscope.read_text(str(tmp_path / "p.png"), "table_parsing") == "read"
    body = service.seen[-1][1]
    assert body["parameters"]["ocr_options"] == {"task": "table_parsing"}
    assert body["input"]["messages"][0]["content"][0]["image"].startswith("data:image/png")
    with pytest.raises(InputError, match="text_recognition"):
        dashscope.read_text("https://host/p.png", "everything")


def test_vectors_keep_their_order(service: Service, dashscope: DashScope) -> None:
    vectors = dashscope.embed([str(n) for n in range(23)], dimensions=2)
    assert [v[0] for v in vectors] == [float(n) for n in range(23)]
    assert [len(body["input"]) for _, body in service.seen] == [10, 10, 3]
    assert dashscope.embed([]) == []


def test_rerank(dashscope: DashScope, service: Service) -> None:
    assert [(r.index, r.score) for r in dashscope.rerank("q", ["a", "b"], top=2)] == [
        (1, 0.9),
        (0, 0.1),
    ]
    assert service.seen[-1][1]["parameters"] == {"top_n": 2}


def test_documents_by_id(dashscope: DashScope, service: Service, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    file = dashscope.upload_document(tmp_path / "a.pdf")
    assert file == "fileid://f1"
    assert dashscope.ask_document("what?", [file], max_tokens=9) == "ok"
    assert service.seen[-1][1]["max_tokens"] == 9
    assert service.seen[-1][1]["messages"][1]["content"] == "fileid://f1"
    dashscope.delete_file(file)
    assert service.seen[-1][0].endswith("/files/f1")
    with pytest.raises(InputError):
        dashscope.upload_document(tmp_path / "missing.pdf")


def test_a_batch_is_submitted_once_and_collected_later(
    service: Service, dashscope: DashScope, tmp_path: Path
) -> None:
    bodies = [{"model": "qwen-plus", "messages": [{"role": "user", "content": q}]} for q in "ab"]
    state = dashscope.submit_batch(bodies, tmp_path / "batch")
    assert (state.id, state.status, state.is_over) == ("b1", "in_progress", False)
    posted = len([path for path, _ in service.seen if path.endswith("/batches")])
    again = DashScope(KEY, service.url)
    assert again.submit_batch(bodies, tmp_path / "batch").id == "b1"
    assert len([path for path, _ in service.seen if path.endswith("/batches")]) == posted == 1
    sent = (tmp_path / "batch" / "requests.jsonl").read_text().splitlines()
    assert json.loads(sent[1])["custom_id"] == "1"
    assert dashscope.wait_batch("b1", every=0.01, most=0.03).status == "in_progress"
    service.batch_status = "completed"
    over = dashscope.wait_batch("b1", every=0.01)
    replies = dashscope.collect_batch(over)
    assert replies[1] == {"choices": []}
    assert isinstance(replies[0], EndpointError)
    again.close()
    with pytest.raises(InputError, match="1 to 50000"):
        dashscope.submit_batch([], tmp_path / "other")


def test_refusals_and_missing_keys(service: Service) -> None:
    wrong = DashScope("sk-another-key-entirely", service.url)
    for act in (
        lambda: wrong.search("q"),
        lambda: wrong.embed(["1"]),
        lambda: wrong.rerank("q", ["a"]),
    ):
        with pytest.raises(EndpointError, match="no key"):
            act()
    wrong.close()
    with pytest.raises(ConfigError, match="DASHSCOPE_API_KEY"):
        DashScope()


def test_a_large_upload_is_refused_by_name(dashscope: DashScope, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.mp4"):
        dashscope.upload_media(tmp_path / "gone.mp4", "qwen-vl-plus")


# -- beside the official SDKs ---------------------------------------------------------------------
# Compatible mode is documented with the openai package, the rest with the dashscope package. Each
# sends a documented request to the strict service, which must then see the same from us.

PICTURE = "https://host/p.png"
FRAMES = [f"https://host/{n}.jpg" for n in range(4)]
SOUND = {"data": "https://host/s.mp3", "format": "mp3"}
WEATHER = {
    "name": "get_weather",
    "description": "Tells the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


def part(kind: str, value: Any) -> dict[str, Any]:
    return {"type": kind, kind: value}


@pytest.mark.parametrize(
    ("content", "settings", "documented"),
    [
        ("hi", {}, {}),
        ("hi", {"thinking": True}, {"enable_thinking": True}),
        ("hi", {"thinking": 500}, {"enable_thinking": True, "thinking_budget": 500}),
        ("hi", {"thinking": False}, {"enable_thinking": False}),
        (
            "hi",
            {"enable_search": True, "search_options": {"forced_search": True}},
            {"enable_search": True, "search_options": {"forced_search": True}},
        ),
        ([{"image": PICTURE}], {}, part("image_url", {"url": PICTURE})),
        ([{"video": "https://h/v.mp4"}], {}, part("video_url", {"url": "https://h/v.mp4"})),
        ([{"video": FRAMES}], {}, part("video", FRAMES)),
        ([{"audio": SOUND}], {}, part("input_audio", SOUND)),
    ],
)
def test_chat_is_what_the_documented_client_sends(
    service: Service, content: Any, settings: dict[str, Any], documented: dict[str, Any]
) -> None:
    told: Any = content if isinstance(content, str) else [documented]
    chat(service, content, **settings)
    with OpenAI(base_url=service.url, api_key=KEY) as client:
        client.chat.completions.create(
            model="qwen-plus",
            messages=[{"role": "user", "content": told}],
            extra_body={**STREAMED, **(documented if isinstance(content, str) else {})},
        )
    ours, theirs = service.seen
    assert ours == theirs


def test_tools_are_what_the_documented_client_sends(service: Service) -> None:
    llm = {"model": "qwen-plus", "model_type": "qwenbelt", "model_server": service.url}
    llm |= {"api_key": KEY, "generate_cfg": {"parallel_function_calls": True}}
    asked = [{"role": "user", "content": "weather?"}]
    list(get_chat_model({**llm, "dialect": "dashscope"}).chat(asked, functions=[WEATHER]))
    with OpenAI(base_url=service.url, api_key=KEY) as client:
        client.chat.completions.create(
            model="qwen-plus",
            messages=asked,  # type: ignore[arg-type]
            tools=[{"type": "function", "function": WEATHER}],  # type: ignore[list-item]
            parallel_tool_calls=True,
            extra_body=STREAMED,
        )
    ours, theirs = service.seen
    assert ours == theirs


def test_the_own_protocol_is_what_the_official_sdk_sends(
    service: Service, dashscope: DashScope
) -> None:
    own = {"api_key": KEY, "base_address": dashscope.own_url}
    asked = [{"role": "user", "content": "q"}]
    options = {"enable_source": True, "enable_citation": True, "forced_search": True}
    dashscope.search("q")
    sdk.Generation.call(
        "qwen-plus",
        messages=asked,
        result_format="message",
        enable_search=True,
        search_options={**options, "citation_format": "[<number>]"},
        **own,
    )
    dashscope.read_text(PICTURE)
    scan = {"image": PICTURE, "min_pixels": 3136, "max_pixels": 6422528}
    sdk.MultiModalConversation.call(
        model="qwen-vl-ocr",
        messages=[{"role": "user", "content": [scan]}],
        ocr_options={"task": "text_recognition"},
        **own,
    )
    dashscope.rerank("q", ["a", "b"], top=1)
    sdk.TextReRank.call("qwen3-rerank", query="q", documents=["a", "b"], top_n=1, **own)
    assert service.seen[0::2] == service.seen[1::2]
    assert len({path for path, _ in service.seen}) == 3


def test_the_example_runs_all_modes(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    monkeypatch.setenv("DASHSCOPE_BASE_URL", service.url)
    for name in ("p.png", "d.pdf", "s.mp3"):
        (tmp_path / name).write_bytes(b"x")
    example = Path(__file__).resolve().parents[2] / "examples" / "dashscope_smoke.py"
    files = [str(tmp_path / name) for name in ("p.png", "d.pdf", "s.mp3", "batch")]
    runpy.run_path(str(example))["main"](*files)
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 13
    assert "batch: 'in_progress'" in told
