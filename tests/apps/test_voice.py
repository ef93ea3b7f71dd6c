"""Microphone and read-aloud, over a loopback endpoint of each kind."""

from __future__ import annotations

import base64
import io
import json
import threading
import wave
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from qwenbelt.agents.models import speech
from qwenbelt.core.errors import ConfigError, EndpointError, InputError

PATIENCE = 240_000  # milliseconds


def short_wav() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\0" * 1600)
    return out.getvalue()


class Speech(ThreadingHTTPServer):
    """Hears one sentence in everything and speaks a fifth of a second of silence."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.asked: list[tuple[str, bytes]] = []
        self.failure: tuple[int, str] | None = None


class Handler(BaseHTTPRequestHandler):
    server: Speech

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.append((self.path, body))
        if self.server.failure is not None:
            status, text = self.server.failure
            self._send(status, "application/json", text.encode())
        elif self.path == "/v1/audio/transcriptions":
            self._send(200, "application/json", b'{"text": " What burns? "}')
        elif self.path == "/v1/audio/speech":
            self._send(200, "audio/wav", short_wav())
        elif self.path == "/v1/chat/completions":
            told = {"choices": [{"message": {"content": "有什么？"}}]}
            self._send(200, "application/json", json.dumps(told).encode())
        else:
            assert self.headers["x-dashscope-sse"] == "enable"
            pieces = [{"output": {"audio": {"data": d}}} for d in ("AAAA", "AAAA", "")]
            lines = "".join(f"id:1\nevent:result\ndata:{json.dumps(p)}\n\n" for p in pieces)
            self._send(200, "text/event-stream", lines.encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Speech]:
    with Speech() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_servers_of_openais_kind_hear_and_speak(endpoint: Speech) -> None:
    spec = f"vllm:whisper@{endpoint.url}"
    assert speech.transcribe(spec, b"sound", "audio/webm;codecs=opus") == "What burns?"
    path, body = endpoint.asked[0]
    assert path == "/v1/audio/transcriptions"
    assert b'name="model"\r\n\r\nwhisper' in body
    assert b'filename="speech.webm"' in body
    sound, kind = speech.speak(f"vllm:tts@{endpoint.url}", "Coal burns.", "nova")
    assert (sound, kind) == (short_wav(), "audio/wav")
    told = json.loads(endpoint.asked[1][1])
    assert (told["model"], told["input"], told["voice"]) == ("tts", "Coal burns.", "nova")


def test_dashscope_has_forms_of_its_own(endpoint: Speech, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-0123456789abcdef")
    spec = f"dashscope:qwen3-asr-flash@{endpoint.url}"
    assert speech.transcribe(spec, b"sound", "audio/webm") == "有什么？"
    part = json.loads(endpoint.asked[0][1])["messages"][0]["content"][0]
    data = part["input_audio"]["data"]
    assert data == f"data:audio/webm;base64,{base64.b64encode(b'sound').decode()}"
    sound, kind = speech.speak(f"dashscope:qwen3-tts-flash@{endpoint.url}", "煤在燃烧。")
    assert kind == "audio/wav"
    with wave.open(io.BytesIO(sound)) as file:
        assert (file.getframerate(), file.getnframes()) == (24_000, 3)
    path, body = endpoint.asked[1]
    assert path == "/api/v1/services/aigc/multimodal-generation/generation"
    assert json.loads(body)["input"] == {"text": "煤在燃烧。", "voice": "Cherry"}


def test_what_cannot_be_heard_or_spoken_is_told_in_one_line(endpoint: Speech) -> None:
    spec = f"vllm:whisper@{endpoint.url}"
    for sound, kind in ((b"", "audio/webm"), (b"x", "text/html"), (b"x" * 8_000_000, "audio/wav")):
        with pytest.raises(InputError):
            speech.transcribe(spec, sound, kind)
    with pytest.raises(InputError):
        speech.speak(spec, "x" * 501)
    with pytest.raises(ConfigError):
        speech.transcribe("whisper", b"x", "audio/wav")
    assert endpoint.asked == []
    for status, text, reason in (
        (401, '{"error": {"message": "no\\nkey"}}', "status 401: no key"),
        (404, "not here", "status 404: not here"),
        (200, "[]", "no transcript"),
        (200, "{", "no transcript"),
    ):
        endpoint.failure = status, text
        with pytest.raises(EndpointError, match=reason):
            speech.transcribe(spec, b"x", "audio/wav")
    endpoint.failure = 200, "{}"
    with pytest.raises(EndpointError, match="no sound"):
        speech.speak(spec, "x")


def test_an_answer_is_spoken_without_its_marks() -> None:
    answer = (
        "# Plants\n\nThe **largest** one is [Ada](https://a.example) "
        "[report.pdf p.3], not Bo [1, 2]."
        "\n\n```python\nprint(1)\n```\n\n| plant | MW |\n|---|---|\n| Ada | 9 |\n\n"
        "- *one*\n- two_three"
    )
    assert speech.spoken_pieces(answer) == [
        "Plants The largest one is Ada, not Bo. plant , MW Ada , 9 one two_three"
    ]
    assert speech.spoken_pieces("```\nonly code\n```") == []
    pieces = speech.spoken_pieces("长" * 1200 + "。" + "A sentence. " * 100)
    assert max(map(len, pieces)) <= speech.PIECE
    assert "".join(pieces).count("长") == 1200


@pytest.mark.chromium
@pytest.mark.timeout(900)
def test_a_question_is_spoken_and_an_answer_read_aloud(screen: Any, endpoint: Speech) -> None:
    expect = pytest.importorskip("playwright.sync_api").expect
    page = screen.page
    screen.open()
    screen.ask("Stumble")
    screen.wait(".qb-footer")
    microphone, aloud = page.locator("#qb-microphone"), page.locator("[data-action=speak]")
    expect(page.locator("[data-chip=model]")).to_be_visible(timeout=PATIENCE)
    expect(microphone).to_have_count(0)
    expect(aloud).to_be_hidden()
    page.locator("#qb-settings > button").click()
    for name in ("hears", "speaks"):
        field = page.locator(f"#qb-{name} textarea, #qb-{name} input")
        field.fill(f"vllm:{name}@{endpoint.url}", timeout=PATIENCE)
        field.blur()
    expect(microphone).to_be_visible(timeout=PATIENCE)
    expect(aloud).to_be_visible(timeout=PATIENCE)
    box = page.locator("#qb-message textarea")
    box.fill("Tell me:")
    microphone.click()
    expect(microphone).to_have_attribute("aria-pressed", "true", timeout=PATIENCE)
    expect(microphone).to_contain_text("■ 1 s", timeout=PATIENCE)
    microphone.click()
    expect(box).to_have_value("Tell me: What burns?", timeout=PATIENCE)
    path, body = endpoint.asked[-1]
    assert path == "/v1/audio/transcriptions"
    assert b"audio/webm" in body
    with page.expect_response(lambda reply: "/qb/speak/" in reply.url, timeout=PATIENCE):
        aloud.click()
    expect(aloud).not_to_have_attribute("aria-pressed", "true", timeout=PATIENCE)
    assert json.loads(endpoint.asked[-1][1])["input"] == "It went well in the end."
    expect(page.locator(".qb-toast")).to_have_count(0)
    endpoint.failure = 401, '{"error": {"message": "no key"}}'
    aloud.click()
    expect(page.locator(".qb-toast").first).to_contain_text("401: no key", timeout=PATIENCE)
