"""Speech to text and text to speech, by models behind an endpoint.

Servers of OpenAI's kind (vLLM, Speaches, LocalAI, OpenAI itself) have `/audio/transcriptions` and
`/audio/speech`. DashScope hears through its chat completions (Qwen3-ASR-Flash) and speaks through
a service of its own (Qwen-TTS), whose stream carries the sound itself: the address that it gives
without a stream would have to be fetched from a third place.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import wave
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from qwenbelt.agents.models.dialects import DIALECTS
from qwenbelt.agents.models.endpoints import endpoint, key_of
from qwenbelt.core.errors import ConfigError, EndpointError, InputError, one_line
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.urls import connection_options

MAX_SOUND_BYTES = 7 * 1024 * 1024  # DashScope takes 10 MB once it is written in base64
MAX_SPOKEN_BYTES = 24 * 1024 * 1024
MAX_HEARD = 20_000  # characters of a transcript
PIECE = 500  # characters that are spoken at once; Qwen-TTS takes 600
_TIMEOUT = 120.0
_RATE = 24_000  # samples a second of Qwen-TTS's stream, 16 bits, one channel
_SUFFIXES = {
    "audio/webm": "webm",
    "audio/ogg": "ogg",
    "audio/mp4": "mp4",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/flac": "flac",
}
_DASHSCOPE_VOICE, _VOICE = "Cherry", "alloy"


@dataclass(frozen=True)
class _Place:
    url: str
    model: str
    key: str
    is_dashscope: bool


def transcribe(spec: str, sound: bytes, media_type: str) -> str:
    """Returns what is said in a recording.

    Args:
        spec: the endpoint spec of a model that hears, such as "openai:whisper-1".
        sound: the recording.
        media_type: what it is, for example "audio/webm;codecs=opus".

    Raises:
        ConfigError: the spec is not understood, or a key is missing.
        InputError: the recording is empty, too large, or of a kind that is no sound.
        EndpointError: the endpoint failed, or heard nothing that it could tell.
    """
    kind = media_type.partition(";")[0].strip().lower()
    if kind not in _SUFFIXES:
        raise InputError(f"{one_line(kind, 60) or 'This'} is no kind of sound that is taken.")
    if not sound:
        raise InputError("The recording is empty.")
    if len(sound) > MAX_SOUND_BYTES:
        raise InputError(f"The recording is larger than {MAX_SOUND_BYTES >> 20} MB.")
    place = _place(spec)
    if place.is_dashscope:
        data = f"data:{kind};base64,{base64.b64encode(sound).decode()}"
        part = {"type": "input_audio", "input_audio": {"data": data}}
        body = {"model": place.model, "messages": [{"role": "user", "content": [part]}]}
        told = _json(_post(place, f"{place.url}/chat/completions", json=body), place)
        try:
            text = told["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            text = None
    else:
        files = {"file": (f"speech.{_SUFFIXES[kind]}", sound, kind)}
        form = {"model": place.model, "response_format": "json"}
        reply = _post(place, f"{place.url}/audio/transcriptions", files=files, data=form)
        text = _json(reply, place).get("text")
    if not isinstance(text, str):
        raise EndpointError(f"{_host(place)} sent no transcript.")
    return text.strip()[:MAX_HEARD]


def speak(spec: str, text: str, voice: str = "") -> tuple[bytes, str]:
    """Returns a text spoken, and the kind of sound that it is.

    Args:
        spec: the endpoint spec of a model that speaks, such as "openai:tts-1".
        text: what is said, of at most `PIECE` characters.
        voice: the name of a voice that the model has; its usual one by default.

    Raises:
        ConfigError: the spec is not understood, or a key is missing.
        InputError: the text is too long.
        EndpointError: the endpoint failed, or sent no sound.
    """
    if len(text) > PIECE:
        raise InputError(f"At most {PIECE} characters are spoken at once.")
    place = _place(spec)
    if place.is_dashscope:
        sound = b"".join(_dashscope_sound(place, text, voice or _DASHSCOPE_VOICE))
        if not sound:
            raise EndpointError(f"{_host(place)} sent no sound.")
        return _as_wav(sound), "audio/wav"
    body = {"model": place.model, "input": text, "voice": voice or _VOICE}
    reply = _post(place, f"{place.url}/audio/speech", json={**body, "response_format": "mp3"})
    kind = str(reply.headers.get("content-type", "")).partition(";")[0].strip().lower()
    if not reply.content or not kind.startswith("audio/"):
        raise EndpointError(f"{_host(place)} sent no sound.")
    return reply.content, kind


def _dashscope_sound(place: _Place, text: str, voice: str) -> Iterator[bytes]:
    """Yields the samples of DashScope's stream."""
    parts = urlsplit(place.url)
    url = f"{parts.scheme}://{parts.netloc}/api/v1/services/aigc/multimodal-generation/generation"
    body = {"model": place.model, "input": {"text": text, "voice": voice}}
    reply = _post(place, url, json=body, headers={"x-dashscope-sse": "enable"})
    for line in reply.text.splitlines():
        if not line.startswith("data:"):
            continue
        try:
            told = loads_bounded(line[5:])
            data = ((told.get("output") or {}).get("audio") or {}).get("data") or ""
            yield base64.b64decode(data, validate=True)
        except (ValueError, AttributeError, TypeError, binascii.Error) as error:
            raise EndpointError(f"{_host(place)} sent no sound.") from error


def _as_wav(samples: bytes) -> bytes:
    if samples.startswith(b"RIFF"):
        return samples
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(samples[: len(samples) & ~1])
    return out.getvalue()


def _place(spec: str) -> _Place:
    cfg = endpoint(spec)
    url, dialect = str(cfg.get("model_server") or ""), DIALECTS.get(str(cfg["dialect"]))
    if not url or dialect is None:
        raise ConfigError(
            f"{spec} neither hears nor speaks.",
            fix="Name a server's model, such as openai:whisper-1 or openai:tts-1@http://host/v1.",
        )
    return _Place(url, str(cfg["model"]), key_of(cfg, dialect), dialect.name == "dashscope")


def _post(place: _Place, url: str, *, headers: Mapping[str, str] | None = None, **what: Any) -> Any:
    import httpx

    sent = {"authorization": f"Bearer {place.key}", **(headers or {})}
    try:
        with (
            httpx.Client(timeout=_TIMEOUT, **connection_options(url)) as client,
            client.stream("POST", url, headers=sent, **what) as reply,
        ):
            content = bytearray()
            for piece in reply.iter_bytes():
                content += piece
                if len(content) > MAX_SPOKEN_BYTES:
                    raise EndpointError(f"{_host(place)} sends too much.")
    except httpx.HTTPError as error:
        reason = one_line(error, 200) or type(error).__name__
        raise EndpointError(
            f"{_host(place)} does not answer ({reason}).", retryable=True
        ) from error
    whole = httpx.Response(reply.status_code, headers=reply.headers, content=bytes(content))
    if not whole.is_success:
        raise EndpointError(
            f"{_host(place)} refused with status {whole.status_code}: {_reason(whole)}",
            status=whole.status_code,
        )
    return whole


def _json(reply: Any, place: _Place) -> dict[str, Any]:
    try:
        told = reply.json()
    except ValueError as error:
        raise EndpointError(f"{_host(place)} sent no transcript.") from error
    return told if isinstance(told, dict) else {}


def _reason(reply: Any) -> str:
    try:
        told = reply.json()
        inner = told.get("error", told) if isinstance(told, dict) else told
        text = inner.get("message") if isinstance(inner, dict) else inner
    except ValueError:
        text = reply.text
    return one_line(text or "no reason given", 300)


def _host(place: _Place) -> str:
    return urlsplit(place.url).netloc


# -- what is said of an answer -----------------------------------------------------------------

_CODE = re.compile(r"(?ms)^(```|~~~).*?(?:^\1\s*$|\Z)")
_CITED = re.compile(
    r"\s*\[(?:\d+(?:\s*[,–-]\s*\d+)*|[^\]\n]{1,120} p\.\s?\d+[^\]\n]{0,20})\](?!\()"
)
_RULE = re.compile(r"(?m)^\s*\|?[\s:|-]*-{3}[\s:|-]*$")
_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)")
_MARKS = re.compile(
    r"(?m)^\s{0,3}(?:#{1,6}|>|[-*+](?=\s))\s*|(?<!\w)[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}(?!\w)"
)
_ENDS = re.compile(r"(?<=[.!?;:])\s+|(?<=[。！？；])|\n+")


def spoken_pieces(answer: str, limit: int = PIECE) -> list[str]:
    """Returns an answer as pieces to be spoken: without code, marks of Markdown and citations."""
    text = _CODE.sub("\n", answer)
    text = _LINK.sub(r"\1", _CITED.sub("", text))
    text = _RULE.sub("", text)
    text = re.sub(r"(?m)^\s*\|(.*)\|\s*$", lambda found: found[1].replace("|", ", "), text)
    text = _MARKS.sub("", text)
    pieces: list[str] = []
    for sentence in _ENDS.split(text):
        rest = " ".join(sentence.split())
        while rest:
            part, rest = _cut(rest, limit)
            if pieces and len(pieces[-1]) + len(part) < limit:
                pieces[-1] += f" {part}"
            else:
                pieces.append(part)
    return pieces


def _cut(text: str, limit: int) -> tuple[str, str]:
    """Returns the beginning of a text, up to a space or a comma where it is long, and the rest."""
    if len(text) <= limit:
        return text, ""
    at = max(text.rfind(" ", 1, limit), text.rfind("，", 1, limit - 1) + 1)
    at = at if at > 0 else limit
    return text[:at].rstrip(), text[at:].lstrip()
