"""Cassettes: real replies of an endpoint, kept in a file that people can read.

A request is found again by its *key*: the canonical JSON of its contents, without seed, user and
other marks of the caller, with call ids numbered and times, ids and temporary paths replaced. So
tools may run for real while the model's replies are played back.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from qwenbelt.core.errors import InputError
from qwenbelt.core.files import write_bytes, write_text
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.limits import input_file
from qwenbelt.core.secrets import is_secret_name, looks_like_key, mask_secrets
from qwenbelt.testing.checks.matchers import describe_difference, shown_value
from qwenbelt.testing.checks.normalization import normalised_text
from qwenbelt.testing.scenarios.yaml_text import yaml_text

VERSION = 1
MAX_BYTES = 256 * 1024 * 1024
_CALLER = {"seed", "user", "metadata", "store", "safety_identifier", "prompt_cache_key"}
_KEPT_HEADERS = ("content-type", "retry-after")
_IMAGE = re.compile(r"data:(image/[a-z0-9.+-]+);base64,([A-Za-z0-9+/=\s]+)")


@dataclass
class Recording:
    """One request and its reply.

    Attributes:
        request: the body of the request, pictures by their hash.
        status: the HTTP status.
        headers: the few headers of the reply that matter.
        chunks: the body of the reply, as it came over the wire.
        delays: milliseconds before each chunk.
        used: how often it was played.
    """

    request: dict[str, Any]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[str] = field(default_factory=list)
    delays: list[int] = field(default_factory=list)
    used: int = 0

    @property
    def body(self) -> bytes:
        """The whole body of the reply."""
        return "".join(self.chunks).encode("utf-8", "surrogateescape")


class Cassette:
    """A file of recordings.

    Args:
        path: the file; pictures are kept beside it in `images/`.
        ignore: further patterns that differ from run to run, and what replaces them in keys.

    Raises:
        InputError: the file exists and cannot be read as a cassette.
    """

    def __init__(
        self, path: str | Path, *, ignore: Iterable[tuple[str, str]] = (), empty: bool = False
    ) -> None:
        self.path = Path(path)
        self.ignore = tuple(ignore)
        self.recordings: list[Recording] = []
        self._keys: list[str] = []
        if not empty and self.path.exists():
            for recording in _read_cassette(self.path):
                self.add(recording)

    @property
    def images(self) -> Path:
        """The folder of pictures."""
        return self.path.parent / "images"

    def key(self, body: Mapping[str, Any]) -> str:
        """Returns the canonical JSON by which a request is found."""
        return json.dumps(canonical_request(body, self.ignore), ensure_ascii=False, sort_keys=True)

    def add(self, recording: Recording) -> None:
        """Adds a recording."""
        self.recordings.append(recording)
        self._keys.append(self.key(recording.request))

    def find(self, body: Mapping[str, Any]) -> Recording | None:
        """Returns the first unused recording of a request and marks it as used."""
        key = self.key(without_images(body))
        for recording, known in zip(self.recordings, self._keys, strict=True):
            if known == key and not recording.used:
                recording.used += 1
                return recording
        return None

    def miss(self, body: Mapping[str, Any]) -> str:
        """Returns why a request is not found: the nearest recording and the first difference."""
        wanted = canonical_request(without_images(body), self.ignore)
        if not self.recordings:
            return f"{self.path.name} holds no recordings; record with `--qwenbelt-record new`"
        key = self.key(without_images(body))
        if key in self._keys:
            count = self._keys.count(key)
            return f"all {count} recordings of this request have been played"
        number = max(
            range(len(self.recordings)),
            key=lambda i: _request_likeness(
                canonical_request(self.recordings[i].request, self.ignore), wanted
            ),
        )
        there = canonical_request(self.recordings[number].request, self.ignore)
        where = first_difference(there, wanted)
        return (
            f"{self.path.name} has no such request; the nearest is recording {number + 1} of "
            f"{len(self.recordings)}, which differs at {where}"
        )

    def unused(self) -> list[str]:
        """Returns one line for each recording that was not played."""
        return [
            f"recording {number} of {self.path.name} was not played ({_last_words(recording)})"
            for number, recording in enumerate(self.recordings, 1)
            if not recording.used
        ]

    def save(self) -> None:
        """Writes the file.

        Raises:
            InputError: a text in it looks like a key, or the file cannot be written.
        """
        entries = [_recording_entry(recording) for recording in self.recordings]
        for number, entry in enumerate(entries, 1):
            place = _secret_place(entry)
            if place:
                raise InputError(
                    f"{self.path}: recording {number} is not written, since {place} looks like a "
                    "key.",
                    fix="Take the key out of the prompt or the tool's result and record again.",
                )
        dumped = yaml_text({"version": VERSION, "recordings": entries})
        write_text(self.path, dumped)

    def keep_images(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the body with pictures by hash, and keeps each picture once as a file."""

        def keep(kind: str, data: bytes, digest: str) -> None:
            target = self.images / f"{digest}.{kind.rpartition('/')[2]}"
            if not target.exists():
                write_bytes(target, data)

        kept: dict[str, Any] = _hashed(body, keep)
        return kept


def _recording_entry(recording: Recording) -> dict[str, Any]:
    entry = {
        "request": recording.request,
        "reply": {
            "status": recording.status,
            "headers": recording.headers,
            "says": summary(recording.body),
            "delays": recording.delays,
            "chunks": recording.chunks,
        },
    }
    return entry


def _secret_place(node: Any, place: str = "") -> str | None:
    if isinstance(node, dict):
        for key, value in node.items():
            named = isinstance(value, str) and len(value) >= 16 and " " not in value
            if named and is_secret_name(str(key)) and not str(key).endswith("_tokens"):
                return f"{place}{key}"
            found = _secret_place(value, f"{place}{key}.")
            if found:
                return found
    elif isinstance(node, list):
        for index, value in enumerate(node):
            found = _secret_place(value, f"{place[:-1]}[{index}].")
            if found:
                return found
    elif isinstance(node, str) and looks_like_key(node):
        return place.rstrip(".")
    return None


def _read_cassette(path: Path) -> Iterator[Recording]:
    file = input_file(path, max_bytes=MAX_BYTES)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        value = yaml.load(file.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506  safe
        if value["version"] != VERSION:
            raise InputError(f"{path}: a cassette of version {value['version']!r} is not known.")
        for entry in value["recordings"]:
            reply = entry["reply"]
            yield Recording(
                request=dict(entry["request"]),
                status=int(reply["status"]),
                headers=dict(reply["headers"]),
                chunks=[str(chunk) for chunk in reply["chunks"]],
                delays=[int(delay) for delay in reply["delays"]],
            )
    except (yaml.YAMLError, RecursionError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: cannot be read as a cassette ({reason}).") from error


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Returns the headers of a reply that are written: only those on a short list."""
    return {name: mask_secrets(headers[name]) for name in _KEPT_HEADERS if name in headers}


def canonical_request(
    body: Mapping[str, Any], ignore: Iterable[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Returns what of a request's body counts, with call ids numbered and texts normalised."""
    kept = {k: v for k, v in without_caller(body).items() if v is not None}
    ids: dict[str, str] = {}
    for message in kept.get("messages") or ():
        for call in message.get("tool_calls") or ():
            ids.setdefault(str(call.get("id")), f"call {len(ids) + 1}")
    out: dict[str, Any] = _canonical_node(kept, ids, tuple(ignore))
    return out


def _canonical_node(node: Any, ids: Mapping[str, str], ignore: tuple[tuple[str, str], ...]) -> Any:
    if isinstance(node, Mapping):
        out = {}
        for key, value in node.items():
            if key in ("id", "tool_call_id") and isinstance(value, str):
                out[key] = ids.get(value, value)
            elif key == "arguments" and isinstance(value, str):
                out[key] = _canonical_node(_parsed(value), ids, ignore)
            else:
                out[key] = _canonical_node(value, ids, ignore)
        return out
    if isinstance(node, (list, tuple)):
        return [_canonical_node(value, ids, ignore) for value in node]
    return normalised_text(node, ignore) if isinstance(node, str) else node


def _parsed(text: str) -> Any:
    try:
        return loads_bounded(text)
    except json.JSONDecodeError:
        return text


def without_caller(body: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the body without fields about the client: seed, user, metadata and the like."""
    return {key: value for key, value in body.items() if key not in _CALLER}


def without_images(body: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the body with every picture replaced by its hash."""
    out: dict[str, Any] = _hashed(body, lambda kind, data, digest: None)
    return out


def _hashed(node: Any, keep: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _hashed(value, keep) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_hashed(value, keep) for value in node]
    found = _IMAGE.fullmatch(node) if isinstance(node, str) and node.startswith("data:") else None
    if found is None:
        return node
    try:
        data = base64.b64decode(found.group(2))
    except binascii.Error:
        return node
    digest = hashlib.sha256(data).hexdigest()
    keep(found.group(1), data, digest)
    return f"image:{found.group(1)}:{digest}"


def first_difference(there: Any, wanted: Any, place: str = "") -> str:
    """Returns where two values differ first, and how."""
    if isinstance(there, dict) and isinstance(wanted, dict):
        for key in sorted({*there, *wanted}, key=_importance):
            inner = f"{place}.{key}" if place else str(key)
            if key not in there or key not in wanted:
                side = "only in the request" if key in wanted else "only in the recording"
                return f"{inner}: {side}: {shown_value(wanted.get(key, there.get(key)))}"
            if there[key] != wanted[key]:
                return first_difference(there[key], wanted[key], inner)
    if isinstance(there, list) and isinstance(wanted, list):
        for index, (a, b) in enumerate(zip(there, wanted, strict=False)):
            if a != b:
                return first_difference(a, b, f"{place}[{index}]")
        more = wanted[len(there) :] or there[len(wanted) :]
        side = "only in the request" if len(wanted) > len(there) else "only in the recording"
        first = shown_value(more[0] if more else "")
        return f"{place}[{min(len(there), len(wanted))}]: {side}: {first}"
    if isinstance(there, str) and isinstance(wanted, str):
        return f"{place}: {_text_difference(there, wanted)}"
    return f"{place}: recorded {shown_value(there)}, asked {shown_value(wanted)}"


def _importance(key: str) -> tuple[int, str]:
    order = ("model", "messages", "tools")
    return (order.index(key) if key in order else len(order), key)


def _text_difference(there: str, wanted: str) -> str:
    same = next(
        (i for i, (a, b) in enumerate(zip(there, wanted, strict=False)) if a != b),
        min(len(there), len(wanted)),
    )
    begin = max(same - 20, 0)
    lead = "…" if begin else ""
    a, b = there[begin : same + 40], wanted[begin : same + 40]
    return f"character {same}: recorded {shown_value(lead + a)}, asked {shown_value(lead + b)}"


def _request_likeness(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[int, int]:
    ours, theirs = wanted.get("messages") or [], there.get("messages") or []
    same = 0
    for a, b in zip(ours, theirs, strict=False):
        if describe_difference(a, b):
            break
        same += 1
    others = sum(there.get(key) == wanted.get(key) for key in wanted if key != "messages")
    return (same * 10 - abs(len(ours) - len(theirs)), others)


def _last_words(recording: Recording) -> str:
    messages = recording.request.get("messages") or [{}]
    return f"last message: {shown_value(messages[-1].get('content'), 60)}"


def summary(body: bytes) -> dict[str, Any]:
    """Returns a reply for people: text, thoughts, calls, why it ended."""
    from qwenbelt.testing.cassettes.replies import read_reply

    return read_reply(body)
