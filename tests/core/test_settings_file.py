"""A key that a person types on a page, in the settings file."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from qwenbelt.core.errors import InputError
from qwenbelt.core.settings import load_settings
from qwenbelt.core.settings_file import save_key


@pytest.mark.parametrize(
    "before",
    [
        "",
        "max_repeats = 3\n",
        '[keys]\nopenai = "o"\n',
        'max_repeats = 3\n[keys] # mine\ndashscope = "old"\n\n[rates.dashscope]\nin_flight = 8\n',
        "[rates.dashscope]\nin_flight = 8\n[keys]",
    ],
)
def test_a_key_is_kept_beside_what_is_there(
    before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "qwenbelt.toml"
    file.write_text(before, encoding="utf-8")
    monkeypatch.setenv("QWENBELT_CONFIG", str(file))
    known = load_settings()
    for key in ("sk-12345678", 'sk-"quoted\\'):
        assert save_key("dashscope", key) == file
        now = load_settings()
        assert now.keys["dashscope"] == key
        assert {**known.keys, "dashscope": key} == dict(now.keys)
        assert (known.max_repeats, known.rates) == (now.max_repeats, now.rates)
    assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0


@pytest.mark.parametrize("key", ["", "short", "two words of it", "line\nbreaks-in-it", "k" * 600])
def test_what_is_no_key_is_refused(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "qwenbelt.toml"
    file.write_text("", encoding="utf-8")
    monkeypatch.setenv("QWENBELT_CONFIG", str(file))
    with pytest.raises(InputError):
        save_key("dashscope", key)
    assert file.read_text("utf-8") == ""
