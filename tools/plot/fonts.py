"""Where a font with Chinese characters is: in an installed wheel, or on the system.

Importing this module is cheap; nothing is searched before it is asked for. The environment
variable `QWENBELT_CJK_FONT` names a font file that wins over all others.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Style = Literal["sans", "serif"]
_SUFFIXES = {".ttf", ".otf", ".ttc", ".otc"}

# wheels that carry a font: module, file, style; all under the SIL Open Font License
_WHEELS: tuple[tuple[str, str, Style], ...] = (
    ("pylopdf_fonts_zh_cn", "NotoSansSC-Regular.otf", "sans"),
    ("pylopdf_fonts_zh_cn", "NotoSerifSC-Regular.otf", "serif"),
    ("zhplot", "fonts/NotoSansSC-Regular.ttf", "sans"),
)

# beginnings of file names, the best first; bold and light cuts are passed over
_SYSTEM_SANS = (
    "notosanssc-regular",
    "notosanscjksc-regular",
    "notosanscjk-regular",
    "sourcehansanssc-regular",
    "sourcehansanscn-regular",
    "sourcehansans-regular",
    "pingfang",
    "hiragino sans gb",
    "stheiti",
    "msyh",
    "deng.",
    "simhei",
    "wqy-microhei",
    "wqy-zenhei",
    "droidsansfallback",
    "arial unicode",
    "unifont",
)
_SYSTEM_SERIF = (
    "notoserifsc-regular",
    "notoserifcjksc-regular",
    "notoserifcjk-regular",
    "sourcehanserifsc-regular",
    "sourcehanserifcn-regular",
    "songti",
    "simsun",
    "stsong",
    "uming",
)


@dataclass(frozen=True)
class CjkFont:
    """A font file with Chinese characters, its family name, and where it was found."""

    path: Path
    family: str
    style: Style
    origin: str

    @property
    def folder(self) -> Path:
        """The folder of the file, for programs that take font folders."""
        return self.path.parent


SOURCE_SANS = "Source Sans 3"  # the Latin of Noto Sans SC, with all weights and italics
_LATIN_WHEEL = ("fontpkg_source_sans_3", "files/SourceSans3[wght].ttf")
_BOLD_WHEEL, _BOLD_FAMILY = ("manimgx_fonts_cjk", "NotoSansCJK-VF.otf.ttc"), "Noto Sans CJK SC"


@dataclass(frozen=True)
class PageFonts:
    """The fonts of a page that typst sets: one family for all of it, in every weight.

    Attributes:
        latin: families for Latin text, the first that has a character wins.
        chinese: families for Chinese text.
        folders: where their files are.
        bold_chinese: whether Chinese has a bold cut; it is not drawn bolder without one.
    """

    latin: tuple[str, ...]
    chinese: tuple[str, ...]
    folders: tuple[Path, ...]
    bold_chinese: bool


@functools.cache
def page_fonts() -> PageFonts:
    """Returns the fonts of reports: Source Sans, and for Chinese the Noto Sans that it fits.

    Every weight of Chinese comes with the extra `fonts`; a font that `QWENBELT_CJK_FONT` names
    wins over it.
    """
    latin, bold, plain = latin_font(), _in_wheel(*_BOLD_WHEEL), cjk_font("sans")
    if os.environ.get("QWENBELT_CJK_FONT"):
        bold = None
    chinese = [_BOLD_FAMILY] if bold else []
    if plain is not None:
        chinese.append(plain.family)
    folders = {path.parent for path in (latin, bold) if path} | ({plain.folder} if plain else set())
    names = (SOURCE_SANS,) if latin else ("Libertinus Serif",)  # which typst brings along
    return PageFonts(names, tuple(chinese) or names, tuple(sorted(folders)), bold is not None)


def latin_font() -> Path | None:
    """Returns the file of Source Sans, in every weight, where its wheel is installed."""
    return _in_wheel(*_LATIN_WHEEL)


def _in_wheel(module: str, file: str) -> Path | None:
    spec = importlib.util.find_spec(module)  # found without running the module's code
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(place, file)).is_file():
            return path
    return None


@functools.cache
def cjk_font(style: Style = "sans") -> CjkFont | None:
    """Returns a font for Chinese text, or None when there is none.

    A wheel's font is preferred to the system's, so that pictures look alike everywhere. Where no
    serif font is found, the sans font is returned.
    """
    found = next((f for f in _candidate_fonts(style) if f is not None), None)
    if found is None and style == "serif":
        return cjk_font("sans")
    return found


def _candidate_fonts(style: Style) -> Iterator[CjkFont | None]:
    chosen = os.environ.get("QWENBELT_CJK_FONT", "")
    if chosen:
        yield _chinese_font(Path(chosen).expanduser(), style, "QWENBELT_CJK_FONT")
    for module, file, has in _WHEELS:
        if has == style:
            yield _wheel_font(module, file, style)
    yield from _system_fonts(style)


def _wheel_font(module: str, file: str, style: Style) -> CjkFont | None:
    path = _in_wheel(module, file)
    return _chinese_font(path, style, f"the package {module}") if path is not None else None


def _system_fonts(style: Style) -> Iterator[CjkFont | None]:
    wanted = _SYSTEM_SANS if style == "sans" else _SYSTEM_SERIF
    best: dict[int, Path] = {}
    for file in _font_files():
        name = file.name.lower()
        for rank, start in enumerate(wanted):
            if name.startswith(start) and rank not in best:
                best[rank] = file
    for rank in sorted(best):
        yield _chinese_font(best[rank], style, "the system")


def _font_files() -> Iterator[Path]:
    for folder in system_font_folders():
        for place, _, names in os.walk(folder):
            for name in sorted(names):
                if os.path.splitext(name)[1].lower() in _SUFFIXES:
                    yield Path(place, name)


def system_font_folders() -> list[Path]:
    """Returns the folders in which the operating system keeps fonts."""
    home = Path.home()
    if sys.platform == "darwin":
        places = [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    elif sys.platform == "win32":
        windows = Path(os.environ.get("WINDIR", r"C:\Windows"))
        local = Path(os.environ.get("LOCALAPPDATA", str(home)))
        places = [windows / "Fonts", local / "Microsoft" / "Windows" / "Fonts"]
    else:
        data = Path(os.environ.get("XDG_DATA_HOME", str(home / ".local/share")))
        places = [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), data / "fonts"]
        places.append(home / ".fonts")
    return [place for place in places if place.is_dir()]


def _chinese_font(path: Path, style: Style, origin: str) -> CjkFont | None:
    """Returns the font if the file can be read as one and has Chinese characters."""
    if path.suffix.lower() not in _SUFFIXES or not path.is_file():
        return None
    try:
        family, has_chinese = _read(path)
    except (OSError, RuntimeError):
        return None
    return CjkFont(path, family, style, origin) if has_chinese else None


def _read(path: Path) -> tuple[str, bool]:
    from PIL import ImageFont

    font = ImageFont.truetype(str(path), 16)
    # a font without a character draws its "missing" glyph, the same for every such character
    missing = font.getmask("\U000ffffd").getbbox(), bytes(font.getmask("\U000ffffd"))
    shown = [(font.getmask(c).getbbox(), bytes(font.getmask(c))) for c in "中文图表"]
    return font.getname()[0] or path.stem, missing not in shown and len(set(shown)) == len(shown)
