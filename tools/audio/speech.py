"""Speech to text by whichever endpoint is configured.

An endpoint with `/audio/transcriptions` (OpenAI's form: vLLM, whisper.cpp, faster-whisper servers)
is set by `QWENBELT_SPEECH_URL` and, where needed, `QWENBELT_SPEECH_MODEL` and
`QWENBELT_SPEECH_KEY`; without one, DashScope's qwen3-asr-flash is used by `DASHSCOPE_API_KEY`.

Request and reply forms follow OpenAI's audio API and DashScope's documentation of Qwen-ASR in
compatible mode (`input_audio` parts, `asr_options`).
"""

from __future__ import annotations

import base64
import mimetypes
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import ConfigError, EndpointError, InputError, one_line
from qwenbelt.core.limits import input_file
from qwenbelt.core.secrets import mask_secrets, remember_secret
from qwenbelt.core.settings import load_settings
from qwenbelt.core.urls import connection_options

SECONDS = 300.0
MAX_BYTES = 25 * 1024 * 1024  # what OpenAI's form takes
DASHSCOPE_BYTES = 7 * 1024 * 1024  # 10 MB as base64
DASHSCOPE_URL = "https://dashscope.aliyuncs.com/compatible-mode/v1"
SUFFIXES = frozenset(
    ".aac .amr .flac .m4a .mka .mkv .mov .mp3 .mp4 .mpeg .mpga .oga .ogg .opus .wav .webm "
    ".wma".split()
)


@dataclass(frozen=True)
class SpeechEndpoint:
    """Where speech is recognised.

    Attributes:
        kind: "transcriptions" (OpenAI's form) or "dashscope".
    """

    kind: str
    url: str
    model: str
    key: str = ""


def speech_endpoint(cfg: Mapping[str, Any] | None = None) -> SpeechEndpoint:
    """Returns the endpoint of a tool's configuration or of the environment.

    Args:
        cfg: `url`, `model` and `key`; what is missing is taken from the environment.

    Raises:
        ConfigError: none is configured.
    """
    given = dict(cfg or {})
    url = str(given.get("url") or os.environ.get("QWENBELT_SPEECH_URL") or "")
    model = str(given.get("model") or os.environ.get("QWENBELT_SPEECH_MODEL") or "")
    key = str(given.get("key") or os.environ.get("QWENBELT_SPEECH_KEY") or "")
    if url:
        found = SpeechEndpoint("transcriptions", url.rstrip("/"), model or "whisper-1", key)
    else:
        key = os.environ.get("DASHSCOPE_API_KEY") or load_settings().keys.get("dashscope") or ""
        if not key:
            raise ConfigError(
                "No endpoint for speech is configured.",
                fix="Set QWENBELT_SPEECH_URL to one with /audio/transcriptions, for example "
                "http://localhost:8000/v1, or DASHSCOPE_API_KEY.",
            )
        base = os.environ.get("DASHSCOPE_BASE_URL") or DASHSCOPE_URL
        found = SpeechEndpoint("dashscope", base.rstrip("/"), model or "qwen3-asr-flash", key)
    remember_secret(found.key)
    return found


def transcribe_file(path: str | Path, endpoint: SpeechEndpoint, language: str = "") -> str:
    """Returns what is said in a sound or video file.

    Args:
        path: the file.
        endpoint: where it is recognised.
        language: of the speech, as a two-letter code; recognised when empty.

    Raises:
        InputError: the file cannot be used, or is too large for the endpoint.
        EndpointError: the endpoint failed.
    """
    file = Path(path)
    if file.suffix.lower() not in SUFFIXES:
        raise InputError(f"{file.name}: is not a sound or video file of a known kind.")
    limit = DASHSCOPE_BYTES if endpoint.kind == "dashscope" else MAX_BYTES
    data = input_file(file, max_bytes=limit).read_bytes()
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    if endpoint.kind == "dashscope":
        return _by_chat(endpoint, data, kind, language)
    return _by_transcription(endpoint, file.name, data, kind, language)


def _by_transcription(
    endpoint: SpeechEndpoint, name: str, data: bytes, kind: str, language: str
) -> str:
    fields = {"model": endpoint.model, "response_format": "json"}
    if language:
        fields["language"] = language
    url = f"{endpoint.url}/audio/transcriptions"
    reply = _post(url, endpoint.key, data=fields, files={"file": (name, data, kind)})
    text = reply.get("text")
    if not isinstance(text, str):
        raise EndpointError(f"{endpoint.url} answered without a text.")
    return text.strip()


def _by_chat(endpoint: SpeechEndpoint, data: bytes, kind: str, language: str) -> str:
    url = f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
    part = {"type": "input_audio", "input_audio": {"data": url}}
    options: dict[str, Any] = {"enable_itn": False}
    if language:
        options["language"] = language
    body = {
        "model": endpoint.model,
        "messages": [{"role": "user", "content": [part]}],
        "stream": False,
        "asr_options": options,
    }
    reply = _post(f"{endpoint.url}/chat/completions", endpoint.key, json=body)
    try:
        text = reply["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise EndpointError(f"{endpoint.url} answered without a text.") from error
    return str(text or "").strip()


def _post(url: str, key: str, **content: Any) -> Mapping[str, Any]:
    import httpx

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        reply = httpx.post(
            url, headers=headers, timeout=SECONDS, **connection_options(url), **content
        )
        reply.raise_for_status()
        value = reply.json()
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        reason = mask_secrets(one_line(error.response.text, 200))
        raise EndpointError(
            f"The speech endpoint refused with HTTP {status}: {reason}",
            status=status,
            retryable=status in (429, 500, 502, 503, 504),
        ) from error
    except (httpx.HTTPError, ValueError) as error:
        reason = mask_secrets(one_line(error))
        raise EndpointError(f"{url} does not answer ({reason}).", retryable=True) from error
    return value if isinstance(value, dict) else {}
