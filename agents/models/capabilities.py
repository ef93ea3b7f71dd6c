"""What is known of a model at an endpoint: learnt from refusals, usage and probes, and kept.

The record decides how tools are offered and which fields are sent; model names are not guessed
from, but for the forms of calling that were measured. It is one JSON file in the user's cache
folder. Servers on short-lived ports are remembered in this process only.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from qwenbelt.core.errors import QwenbeltError
from qwenbelt.core.files import write_text
from qwenbelt.core.settings import cache_folder
from qwenbelt.core.urls import is_loopback

log = logging.getLogger(__name__)
_FIRST_EPHEMERAL_PORT = 32768  # Linux's default range for ports that programs get assigned


@dataclass(slots=True)
class Capabilities:
    """What was learnt about a model at an endpoint; None where nothing is known yet.

    Attributes:
        native_tools: False once the endpoint has refused `tools` or a probe got no call.
        calls_in_text: whether it takes `tools` and writes its calls as text.
        parallel_calls: whether a probe that asked for two calls got both in one reply.
        tool_format: the form of calling that a probe found to work best.
        structured: the body field that constrains replies: "response_format", "json_schema",
            "structured_outputs" or "format"; "" when none does.
        thinking: "switch" when thinking can be turned on and off, "always", or "never".
        thoughts_back: whether it refuses replies with calls that come without their thoughts.
        vision: whether it reads pictures.
        context_tokens: the window, when an error or the server reported it.
        first_token: seconds to the first token of a short prompt.
        tokens_per_second: speed of writing, measured by a probe.
        refused: body fields that the endpoint has refused.
        probed: when it was probed, ISO 8601 in UTC.
        writes_code: whether it solved a probe's tasks with code that calls functions.
    """

    native_tools: bool | None = None
    calls_in_text: bool | None = None
    parallel_calls: bool | None = None
    tool_format: str | None = None
    structured: str | None = None
    thinking: str | None = None
    thoughts_back: bool | None = None
    vision: bool | None = None
    context_tokens: int | None = None
    first_token: float | None = None
    tokens_per_second: float | None = None
    refused: set[str] = field(default_factory=set)
    probed: str | None = None
    writes_code: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns what is known, ready for JSON."""
        values = dataclasses.asdict(self)
        values["refused"] = sorted(self.refused)
        return {name: value for name, value in values.items() if value not in (None, [])}


@dataclass(frozen=True, slots=True)
class MeasuredForm:
    """The form of calling that was measured to be the best for models of a name at one server.

    Attributes:
        names: what the model's name holds.
        dialect: the server's.
        form: a `tool_format`.
        source: where it was measured.
    """

    names: re.Pattern[str]
    dialect: str
    form: str
    source: str


MEASURED_FORMS = (
    MeasuredForm(
        re.compile(r"qwen2\.5-coder[-:_]0\.5b", re.I),
        "llamacpp",
        "nous",
        "docs/results.md: Berkeley v4, 200 cases, 91 right, 78 with declared tools, p = .002",
    ),
)
_records: dict[tuple[str, str], Capabilities] = {}
_lock = threading.Lock()


def measured_form(dialect: str, model: str) -> str | None:
    """Returns the form of calling that was measured to be the best, or None."""
    fitting = (m.form for m in MEASURED_FORMS if m.dialect == dialect and m.names.search(model))
    return next(fitting, None)


def model_capabilities(url: str, model: str) -> Capabilities:
    """Returns the record of a model at an endpoint, shared by this whole process."""
    with _lock:
        key = (url, model)
        if key not in _records:
            _records[key] = _from_dict(_read_records().get(_record_name(url, model), {}))
        return _records[key]


def save_record(url: str, model: str) -> Path | None:
    """Keeps the record in the user's cache folder; returns the file, or None if it cannot be.

    A cache that cannot be written only costs a later probe, so the failure is only logged.
    """
    if not is_lasting(url):
        return None
    path = record_file()
    if path is None:
        return None
    with _lock:
        record = _records.get((url, model), Capabilities())
        table = {**_read_records(), _record_name(url, model): record.to_dict()}
        try:
            write_text(path, json.dumps(table, indent=1, ensure_ascii=False, sort_keys=True))
        except QwenbeltError as error:
            log.info("the capability record is not kept: %s", error)
            return None
    return path


def forget_records(url: str, model: str) -> None:
    """Drops what this process knows, so that the file is read again."""
    with _lock:
        _records.pop((url, model), None)


def is_lasting(url: str) -> bool:
    """Returns whether the same server will be found under this URL another day."""
    return not (is_loopback(url) and (urlsplit(url).port or 0) >= _FIRST_EPHEMERAL_PORT)


def record_file() -> Path | None:
    """Returns where records are kept, in the cache folder; None when nothing is to be kept."""
    folder = cache_folder()
    return None if folder is None else folder / "capabilities.json"


def _record_name(url: str, model: str) -> str:
    return f"{model} @ {url}"


def _read_records() -> dict[str, Any]:
    path = record_file()
    if path is None:
        return {}
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}


def _from_dict(values: Any) -> Capabilities:
    """Reads a record; a field of another type than expected is left out."""
    record = Capabilities()
    if not isinstance(values, dict):
        return record
    kinds: dict[str, type | tuple[type, ...]] = {
        "native_tools": bool,
        "calls_in_text": bool,
        "parallel_calls": bool,
        "tool_format": str,
        "structured": str,
        "thinking": str,
        "thoughts_back": bool,
        "vision": bool,
        "context_tokens": int,
        "first_token": (int, float),
        "tokens_per_second": (int, float),
        "probed": str,
        "writes_code": bool,
    }
    for name, kind in kinds.items():
        if isinstance(values.get(name), kind):
            setattr(record, name, values[name])
    refused = values.get("refused")
    if isinstance(refused, list):
        record.refused = {str(entry) for entry in refused}
    return record
