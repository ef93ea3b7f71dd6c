"""Model files: finding, pulling with resume and checksum, removing; the command over them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.agents.models.endpoints import endpoint
from qwenbelt.agents.models.local_files import (
    find_model,
    installed_models,
    pull_model,
    remove_model,
)
from qwenbelt.apps.cli import run
from qwenbelt.core.errors import ConfigError, EndpointError, InputError

NAME = "Owner/Repo-GGUF/small.gguf"
DATA = b"GGUF" + bytes(range(256)) * 4000


class Hub:
    """Plays both hubs; `breaks` cuts that many downloads after some bytes."""

    def __init__(self, wire: Any) -> None:
        self.data, self.sha, self.breaks, self.ranges = DATA, "", 0, []  # type: ignore[var-annotated]
        self.has_it = True
        self._wire = wire
        wire.replies.append(self._reply)

    def _reply(self, request: Any) -> Any:
        reply_class = type(self._wire.page("").replies.pop())
        digest = self.sha or hashlib.sha256(DATA).hexdigest()
        if "/api/v1/models/" in request.path:
            files = [{"Path": "small.gguf", "Size": len(DATA), "Sha256": digest}]
            value: Any = {"Data": {"Files": files if self.has_it else []}}
            return reply_class(json.dumps(value).encode())
        if "/api/models/" in request.path:
            value = [{"path": "small.gguf", "lfs": {"oid": digest, "size": len(DATA)}}]
            return reply_class(json.dumps(value).encode())
        wanted = request.headers.get("range", "")
        self.ranges.append(wanted)
        start = int(wanted[6:-1]) if wanted else 0
        status = 206 if wanted else 200
        if self.breaks:
            self.breaks -= 1
            return reply_class(self.data[start:], status, {}, 300_000)
        return reply_class(self.data[start:], status)


@pytest.fixture
def hub(wire: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    base = wire.url.removesuffix("/v1")
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", base)
    monkeypatch.setenv("HF_ENDPOINT", base)
    monkeypatch.setenv("QWENBELT_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return Hub(wire)


@pytest.mark.parametrize("source", ["", "modelscope", "huggingface"])
def test_pull(hub: Hub, source: str) -> None:
    seen: list[tuple[int, int]] = []
    path = pull_model(NAME, hub=source, progress=lambda *pair: seen.append(pair))
    assert path.read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert [m.name for m in installed_models()] == ["small"]
    assert find_model(NAME) == find_model("small") == find_model(str(path)) == path
    assert pull_model(NAME) == path
    assert len(hub.ranges) == 1, "what is there is not downloaded again"
    assert remove_model("small").path == path
    assert installed_models() == []


def test_a_download_that_breaks_off_goes_on(hub: Hub) -> None:
    hub.breaks = 2
    assert pull_model(NAME, hub="huggingface").read_bytes() == DATA
    assert hub.ranges[0] == ""
    assert all(wanted.startswith("bytes=") for wanted in hub.ranges[1:])


def test_a_hub_that_has_it_not_gives_way_to_the_other(hub: Hub) -> None:
    hub.has_it = False
    assert pull_model(NAME).read_bytes() == DATA


def test_damage_is_noticed_and_nothing_stays(hub: Hub, tmp_path: Path) -> None:
    hub.sha = "0" * 64
    with pytest.raises(EndpointError, match="SHA-256"):
        pull_model(NAME)
    assert list((tmp_path / "models").iterdir()) == []


def test_names_that_are_not_understood(hub: Hub, tmp_path: Path) -> None:
    for name in ("nothing", "../../etc/passwd.gguf", "a/b.gguf", "a/../b.gguf"):
        with pytest.raises(ConfigError):
            pull_model(name)
        with pytest.raises(ConfigError):
            find_model(name)
    with pytest.raises(ConfigError, match=r"qwenbelt model pull qwen3:0\.6b"):
        find_model("qwen3:0.6b")
    with pytest.raises(ConfigError, match="none"):
        remove_model("x")
    fake = tmp_path / "fake.gguf"
    fake.write_text("hello")
    with pytest.raises(InputError, match=r"not a \.gguf"):
        find_model(str(fake))


def test_the_command(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["model", "pull", NAME]) == 0
    assert capsys.readouterr().out.strip().endswith("small.gguf")
    assert run(["model", "list"]) == 0
    shown = capsys.readouterr().out
    assert "small" in shown
    assert "qwen3:0.6b" in shown
    assert run(["model", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["bytes"] == len(DATA)
    assert run(["model", "rm", "small"]) == 0
    assert run(["model", "rm", "small"]) == 2


def test_a_spec_without_its_model_says_how_to_get_it() -> None:
    pytest.importorskip("xllamacpp")
    with pytest.raises(ConfigError, match=r"model pull qwen3:0\.6b"):
        endpoint("local:qwen3:0.6b")
