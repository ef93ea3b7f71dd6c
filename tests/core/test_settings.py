from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from qwenbelt.core.errors import ConfigError
from qwenbelt.core.secrets import mask_secrets
from qwenbelt.core.settings import load_settings


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("ENDPOINT", "MAX_MODEL_CALLS", "ALLOW_UNSANDBOXED", "WORKSPACE", "CONFIG"):
        monkeypatch.delenv(f"QWENBELT_{name}", raising=False)


def test_defaults_need_no_file() -> None:
    settings = load_settings()
    assert settings.endpoint is None
    assert settings.source is None
    assert not settings.allow_unsandboxed


def test_the_file_is_read_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "qwenbelt.toml").write_text(
        'endpoint = "ollama:a"\nmax_model_calls = 7\n[keys]\ndashscope = "topsecretvalue"\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("QWENBELT_MAX_MODEL_CALLS", "9")
    settings = load_settings()
    assert (settings.endpoint, settings.max_model_calls) == ("ollama:a", 9)
    assert settings.keys["dashscope"] == "topsecretvalue"


def test_keys_are_never_shown(tmp_path: Path) -> None:
    (tmp_path / "qwenbelt.toml").write_text(
        '[keys]\nopenai = "anothersecretvalue"\n', encoding="utf-8"
    )
    settings = load_settings()
    assert "anothersecretvalue" not in repr(settings) + str(settings.shown())
    assert mask_secrets("key=anothersecretvalue") == "key=[secret]"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("endpont = 'x'", "unknown setting 'endpont'"),
        ("max_model_calls = 0", "max_model_calls must be a whole number"),
        ("allow_unsandboxed = 'maybe'", "allow_unsandboxed must be true or false"),
        ("keys = 3", "[keys] must hold"),
        ("= broken", "cannot be read as TOML"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "qwenbelt.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert words in str(caught.value)
    assert "\n" not in caught.value.message.rstrip()


def test_long_runs_are_ended_by_their_budget_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().max_repeats == 3
    monkeypatch.setenv("QWENBELT_MAX_MODEL_CALLS", "1000")
    assert load_settings().max_repeats == 0


def test_a_change_is_seen_by_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is kept while nothing changes: the file, its place, a variable, the folder."""
    monkeypatch.delenv("QWENBELT_CONFIG", raising=False)
    monkeypatch.delenv("QWENBELT_MAX_REPEATS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "qwenbelt.toml"

    def write(text: str, age: float) -> None:
        file.write_text(text)
        at = time.time() - age
        os.utime(file, (at, at))

    assert load_settings().max_repeats == 3
    write("max_repeats = 4", 100)
    assert load_settings().max_repeats == 4
    assert load_settings() is load_settings()
    write("max_repeats = 5", 50)
    assert load_settings().max_repeats == 5
    write("max_repeats = 6", 0)
    assert load_settings().max_repeats == 6
    write("max_repeats = 7", 0)  # within one tick of the file system's clock
    assert load_settings().max_repeats == 7
    monkeypatch.setenv("QWENBELT_MAX_REPEATS", "8")
    assert load_settings().max_repeats == 8
    monkeypatch.delenv("QWENBELT_MAX_REPEATS")
    file.unlink()
    assert load_settings().max_repeats == 3
