from collections.abc import Iterator
from pathlib import Path

import pytest

from qwenbelt.tools.plot import fonts
from qwenbelt.tools.plot.draw import _latin_file
from qwenbelt.tools.plot.fonts import cjk_font


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    cjk_font.cache_clear()
    yield
    cjk_font.cache_clear()


def test_the_wheel_gives_sans_and_serif() -> None:
    sans, serif = cjk_font("sans"), cjk_font("serif")
    assert sans is not None
    assert serif is not None
    assert (sans.family, serif.family) == ("Noto Sans SC", "Noto Serif SC")
    assert sans.path.is_file()


def test_the_variable_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sans = cjk_font()
    assert sans is not None
    mine = tmp_path / "mine.otf"
    mine.symlink_to(sans.path)
    cjk_font.cache_clear()
    monkeypatch.setenv("QWENBELT_CJK_FONT", str(mine))
    found = cjk_font()
    assert found is not None
    assert found.path == mine


def test_system_fonts_are_found_when_no_wheel_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sans = cjk_font()
    assert sans is not None
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "NotoSansCJK-Regular.otf").symlink_to(sans.path)
    (tmp_path / "wqy-microhei.ttc").write_bytes(b"not a font")
    cjk_font.cache_clear()
    monkeypatch.setattr(fonts, "_WHEELS", ())
    monkeypatch.setattr(fonts, "system_font_folders", lambda: [tmp_path])
    found = cjk_font("serif")
    assert found is not None
    assert found.origin == "the system"


@pytest.mark.parametrize("name", ["missing.ttf", "latin.ttf", "broken.ttf", "text.txt"])
def test_a_font_without_chinese_is_not_taken(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "latin.ttf").symlink_to(_latin_file())
    (tmp_path / "broken.ttf").write_bytes(b"\0\1\0\0junk")
    (tmp_path / "text.txt").write_text("x", encoding="utf-8")
    monkeypatch.setattr(fonts, "_WHEELS", ())
    monkeypatch.setattr(fonts, "system_font_folders", list)
    monkeypatch.setenv("QWENBELT_CJK_FONT", str(tmp_path / name))
    assert cjk_font() is None
