"""Speech to text against a loopback endpoint in both forms."""

from __future__ import annotations

import base64
import json
import threading
import wave
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.core.errors import ConfigError, ToolError
from qwenbelt.tools.audio.speech import speech_endpoint
from qwenbelt.tools.audio.tool import SpeechToText
from qwenbelt.tools.base import ToolContext


class Ears(ThreadingHTTPServer):
    """Answers in the form of the path, and keeps what it was sent."""

    daemon_threads = True
    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Ears)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.seen.append((self.path, self.headers.get("Authorization", ""), body))
        reply: dict[str, Any] = {"text": " Close the valve. "}
        if self.path.endswith("/chat/completions"):
            reply = {"choices": [{"message": {"content": "请关闭阀门。"}}]}
        data = json.dumps(reply if server.status == 200 else {"error": "busy"}).encode()
        self.send_response(server.status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def ears() -> Iterator[Ears]:
    server = Ears()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "call.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"\x00\x01" * 800)
    return path


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QWENBELT_SPEECH_URL", "QWENBELT_SPEECH_MODEL", "DASHSCOPE_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_an_endpoint_of_openais_form(ears: Ears, sound: Path) -> None:
    tool = SpeechToText({"url": ears.url, "model": "whisper-x", "key": "sk-abc"})
    text = str(tool.call({"audio": str(sound), "language": "en"}))
    assert text.endswith("Close the valve.")
    path, key, body = ears.seen[0]
    assert (path, key) == ("/v1/audio/transcriptions", "Bearer sk-abc")
    for piece in (b"whisper-x", b'name="language"', sound.read_bytes()):
        assert piece in body


def test_dashscope(ears: Ears, sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-d")
    monkeypatch.setenv("DASHSCOPE_BASE_URL", ears.url)
    assert "请关闭阀门。" in str(SpeechToText().call({"audio": str(sound), "language": "zh"}))
    body = json.loads(ears.seen[0][2])
    assert body["model"] == "qwen3-asr-flash"
    assert body["asr_options"]["language"] == "zh"
    data = body["messages"][0]["content"][0]["input_audio"]["data"]
    assert base64.b64decode(data.split(",", 1)[1]) == sound.read_bytes()


def test_what_is_missing_is_named(sound: Path) -> None:
    with pytest.raises(ConfigError, match="QWENBELT_SPEECH_URL"):
        speech_endpoint()
    with pytest.raises(ToolError, match="QWENBELT_SPEECH_URL"):
        SpeechToText().call({"audio": str(sound)})


def test_a_refusal_is_one_line_without_the_key(ears: Ears, sound: Path) -> None:
    ears.status = 503
    with pytest.raises(ToolError, match="503") as caught:
        SpeechToText({"url": ears.url, "key": "sk-secret-1"}).call({"audio": str(sound)})
    assert "sk-secret-1" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_may_name_files_of_the_conversation_only(ears: Ears, sound: Path) -> None:
    tool = SpeechToText({"url": ears.url})
    context = ToolContext(files={"call.wav": sound})
    assert "valve" in str(tool.call({"audio": "call.wav"}, context=context))
    with pytest.raises(ToolError, match="no sound file"):
        tool.call({"audio": "/etc/passwd"}, context=context)


def test_other_files_are_refused(ears: Ears, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x")
    with pytest.raises(ToolError, match="not a sound"):
        SpeechToText({"url": ears.url}).call({"audio": str(path)})
