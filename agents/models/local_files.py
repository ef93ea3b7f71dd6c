"""Model files for the embedded engine: a folder of .gguf files, filled from two hubs.

Names: a known short name (`qwen3:0.6b`), `OWNER/REPOSITORY/FILE.gguf`, or a path. Downloads go to a
`.part` file, are taken up where they stopped, and get their name only when size and SHA-256 agree
with what the hub states.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import ConfigError, EndpointError, InputError
from qwenbelt.core.files import output_folder

# sizes and repositories as the makers publish them (model cards, Apache-2.0)
KNOWN = {
    "qwen3:0.6b": "Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf",
    "qwen3:1.7b": "Qwen/Qwen3-1.7B-GGUF/Qwen3-1.7B-Q8_0.gguf",
    "qwen3:4b": "Qwen/Qwen3-4B-GGUF/Qwen3-4B-Q4_K_M.gguf",
    "qwen3:8b": "Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf",
    "qwen2.5:0.5b": "Qwen/Qwen2.5-0.5B-Instruct-GGUF/qwen2.5-0.5b-instruct-q8_0.gguf",
    "qwen2.5:1.5b": "Qwen/Qwen2.5-1.5B-Instruct-GGUF/qwen2.5-1.5b-instruct-q4_k_m.gguf",
    "qwen2.5-coder:0.5b": (
        "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/qwen2.5-coder-0.5b-instruct-q8_0.gguf"
    ),
    "qwen2.5-coder:1.5b": (
        "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
    ),
}
HUBS = ("modelscope", "huggingface")
_MAGIC = b"GGUF"
_BLOCK = 1 << 20
_TRIES = 5
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ModelFile:
    """A model on this machine; `size` in bytes."""

    name: str
    path: Path
    size: int


@dataclass(frozen=True)
class _HubFile:
    url: str
    size: int
    sha256: str


def models_folder() -> Path:
    """Returns where models are kept: `QWENBELT_MODELS`, else the user's data folder."""
    import platformdirs

    given = os.environ.get("QWENBELT_MODELS")
    if given:
        return Path(given).expanduser()
    return Path(platformdirs.user_data_dir("qwenbelt", False)) / "models"


def installed_models() -> list[ModelFile]:
    """Returns the models in the folder, by name."""
    short = {_file_name(place): name for name, place in KNOWN.items()}
    found = sorted(models_folder().glob("*.gguf"))
    return [ModelFile(short.get(p.name, p.stem), p, p.stat().st_size) for p in found]


def find_model(name: str) -> Path:
    """Returns the file of a model: a path, a known name, or the name of a pulled file.

    Raises:
        ConfigError: it is not on this machine; the fix names the command that gets it.
        InputError: the file is not a model.
    """
    path = Path(name).expanduser()
    if path.suffix == ".gguf" and (path.is_file() or path.is_absolute()):
        return _checked_file(path)
    for model in installed_models():
        if name in (model.name, model.path.name, model.path.stem):
            return _checked_file(model.path)
    place = _hub_place(name) if name in KNOWN or name.count("/") >= 2 else ""
    if place and (models_folder() / _file_name(place)).is_file():
        return _checked_file(models_folder() / _file_name(place))
    if place:
        raise ConfigError(f"{name} is not on this machine.", fix=f"qwenbelt model pull {name}")
    known = ", ".join(KNOWN)
    raise ConfigError(
        f"There is no model {name!r} here.",
        fix=f"Give a .gguf file, OWNER/REPOSITORY/FILE.gguf, or one of {known}.",
    )


def _checked_file(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    if magic != _MAGIC:
        raise InputError(f"{path}: is not a .gguf model file.")
    return path.resolve()


def remove_model(name: str) -> ModelFile:
    """Deletes a pulled model and returns what it was.

    Raises:
        ConfigError: there is none of that name in the folder.
    """
    for model in installed_models():
        if name in (model.name, model.path.name, model.path.stem):
            model.path.unlink()
            return model
    names = ", ".join(model.name for model in installed_models()) or "none"
    raise ConfigError(f"There is no pulled model {name!r}.", fix=f"Pulled are: {names}.")


def pull_model(name: str, *, hub: str = "", progress: Progress | None = None) -> Path:
    """Downloads a model unless it is there already; returns its file.

    Args:
        name: a known name or `OWNER/REPOSITORY/FILE.gguf`.
        hub: "modelscope" or "huggingface"; without it, whichever answers.
        progress: gets the bytes that are there and the bytes in all.

    Raises:
        ConfigError: the name or hub is not understood.
        EndpointError: no hub has it, or the download fails for good.
        InputError: the folder cannot be written.
    """
    place = _hub_place(name)
    target = models_folder() / _file_name(place)
    if target.is_file():
        return _checked_file(target)
    if hub and hub not in HUBS:
        raise ConfigError(f"The hub must be one of {', '.join(HUBS)}, not {hub!r}.")
    output_folder(target.parent)
    problems = []
    for candidate in (hub,) if hub else HUBS:
        try:
            remote = _remote_file(candidate, place)
            _download(remote, target.with_name(f"{target.name}.part"), progress)
            target.with_name(f"{target.name}.part").replace(target)
            return _checked_file(target)
        except EndpointError as error:
            problems.append(f"{candidate}: {error.message}")
    raise EndpointError(f"{name} could not be downloaded. " + " ".join(problems))


def _hub_place(name: str) -> str:
    place = KNOWN.get(name, name)
    if place.count("/") != 2 or not place.endswith(".gguf") or ".." in place:
        known = ", ".join(KNOWN)
        raise ConfigError(
            f"The model {name!r} is not understood.",
            fix=f"Give OWNER/REPOSITORY/FILE.gguf or one of {known}.",
        )
    return place


def _file_name(place: str) -> str:
    return place.rsplit("/", 1)[-1]


def _remote_file(hub: str, place: str) -> _HubFile:
    """Asks a hub for the address, size and SHA-256 of a file."""
    repository, _, file = place.rpartition("/")
    if hub == "modelscope":
        base = os.environ.get("MODELSCOPE_ENDPOINT", "https://modelscope.cn").rstrip("/")
        answer = _get_json(f"{base}/api/v1/models/{repository}/repo/files?Revision=master")
        listed = (answer.get("Data") or {}).get("Files") or []
        entry = next((e for e in listed if e.get("Path") == file), None)
        if entry and entry.get("Sha256"):
            url = f"{base}/models/{repository}/resolve/master/{file}"
            return _HubFile(url, int(entry["Size"]), str(entry["Sha256"]))
    else:
        base = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        listed = _get_json(f"{base}/api/models/{repository}/tree/main")
        entry = next((e for e in listed if e.get("path") == file), None)
        if entry and (entry.get("lfs") or {}).get("oid"):
            url = f"{base}/{repository}/resolve/main/{file}"
            return _HubFile(url, int(entry["lfs"]["size"]), str(entry["lfs"]["oid"]))
    raise EndpointError(f"it has no {file} in {repository}, or tells no checksum.")


def _get_json(url: str) -> Any:
    import httpx

    try:
        reply = httpx.get(url, timeout=20.0, follow_redirects=True)
        reply.raise_for_status()
        return reply.json()
    except (httpx.HTTPError, ValueError) as error:
        raise EndpointError(f"it does not answer as expected ({error}).") from error


def _download(remote: _HubFile, part: Path, progress: Progress | None) -> None:
    """Downloads to `part`, resuming a partial download; checks size and SHA-256."""
    import httpx

    problem = ""
    for _ in range(_TRIES):
        try:
            for there in _fetch_rest(remote, part):
                if progress is not None:
                    progress(there, remote.size)
            break
        except httpx.HTTPError as error:
            problem = f"{type(error).__name__}: {error}"
        except OSError as error:
            raise InputError(f"{part}: cannot be written ({error.strerror}).") from error
    else:
        raise EndpointError(f"the download broke off ({problem}); pull again to go on.")
    if part.stat().st_size != remote.size or _sha256(part) != remote.sha256:
        with suppress(OSError):
            part.unlink()
        raise EndpointError("what arrived is not what the hub announced (size or SHA-256).")


def _fetch_rest(remote: _HubFile, part: Path) -> Iterator[int]:
    import httpx

    there = part.stat().st_size if part.is_file() else 0
    if there >= remote.size:
        there = 0 if there > remote.size else there
    if there == remote.size:
        return
    headers = {"Range": f"bytes={there}-"} if there else {}
    with httpx.stream(
        "GET", remote.url, headers=headers, timeout=60.0, follow_redirects=True
    ) as reply:
        reply.raise_for_status()
        goes_on = reply.status_code == 206
        there = there if goes_on else 0
        with part.open("ab" if goes_on else "wb") as file:
            for block in reply.iter_bytes():  # as it comes, so that little is lost
                file.write(block)
                there += len(block)
                yield there
    if there < remote.size:
        raise httpx.ReadError("the connection ended early")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
