"""Pictures in the terminal: by kitty's, iTerm's or the sixel protocol, else by their path.

Which one is told by the environment and never asked of the terminal: an answer would come as keys
that a person typed. `QWENBELT_IMAGES=kitty|iterm|sixel|none` overrules.
"""

from __future__ import annotations

import base64
import io
import itertools
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from qwenbelt.apps.echo import echo
from qwenbelt.core.terminal import terminal_text

if TYPE_CHECKING:
    from PIL.Image import Image

PictureProtocol = Literal["kitty", "iterm", "sixel", "none"]
_SIDE = 640  # pixels of the longer side
_PIECE = 4096  # bytes of a kitty command, by its specification
_COLORS = 64  # of a sixel picture


def picture_protocol(environment: Mapping[str, str] | None = None) -> PictureProtocol:
    """Returns how this terminal shows pictures.

    Args:
        environment: the process's own when None.
    """
    env = os.environ if environment is None else environment
    chosen = env.get("QWENBELT_IMAGES", "")
    if chosen in ("kitty", "iterm", "sixel", "none"):
        return cast("PictureProtocol", chosen)
    term, program = env.get("TERM", ""), env.get("TERM_PROGRAM", "")
    if env.get("TMUX") or term.startswith(("screen", "tmux", "dumb")):
        return "none"  # they pass on only what they know themselves
    if env.get("KITTY_WINDOW_ID") or term in ("xterm-kitty", "xterm-ghostty"):
        return "kitty"
    if program in ("iTerm.app", "WezTerm") or env.get("LC_TERMINAL") == "iTerm2":
        return "iterm"
    if "sixel" in term or term.startswith(("foot", "mlterm", "contour", "yaft")):
        return "sixel"
    return "none"


def show_picture(path: Path) -> None:
    """Shows a picture where the terminal can; its path everywhere."""
    protocol = picture_protocol()
    if protocol != "none" and sys.stdout.isatty():
        try:
            codes = picture_codes(path, protocol)
        except (OSError, ValueError):
            codes = ""  # not a picture: the path says where it is
        if codes:
            sys.stdout.write(codes + "\n")
            sys.stdout.flush()
    echo(f"  {terminal_text(str(path))}")


def picture_codes(path: Path, protocol: PictureProtocol) -> str:
    """Returns what makes a terminal show a picture; "" for `none`.

    Raises:
        OSError, ValueError: it cannot be read as a picture.
    """
    from PIL import Image

    if protocol == "none":
        return ""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((_SIDE, _SIDE))
    if protocol == "sixel":
        return "".join(_sixel(picture))
    out = io.BytesIO()
    picture.save(out, "PNG")
    data = base64.b64encode(out.getvalue()).decode()
    if protocol == "iterm":
        return f"\x1b]1337;File=inline=1;size={len(out.getvalue())}:{data}\a"
    pieces = [data[start : start + _PIECE] for start in range(0, len(data), _PIECE)]
    return "".join(
        f"\x1b_G{'a=T,f=100,q=2,' if n == 0 else ''}m={int(n < len(pieces) - 1)};{piece}\x1b\\"
        for n, piece in enumerate(pieces)
    )


def _sixel(picture: Image) -> Iterator[str]:
    """Yields a picture as sixels: bands of six rows, each drawn once in every colour it has."""
    reduced = picture.quantize(_COLORS)
    palette = reduced.getpalette() or []
    width, height = reduced.size
    pixels = reduced.tobytes()
    yield f'\x1bPq"1;1;{width};{height}'
    for color in range(len(palette) // 3):
        red, green, blue = (round(v * 100 / 255) for v in palette[3 * color : 3 * color + 3])
        yield f"#{color};2;{red};{green};{blue}"
    for top in range(0, height, 6):
        rows = [pixels[y * width : (y + 1) * width] for y in range(top, min(top + 6, height))]
        for color in sorted(set().union(*rows)):
            bits = (
                chr(63 + sum(1 << n for n, row in enumerate(rows) if row[x] == color))
                for x in range(width)
            )
            yield f"#{color}{''.join(_runs(bits))}$"
        yield "-"
    yield "\x1b\\"


def _runs(bits: Iterator[str]) -> Iterator[str]:
    for bit, group in itertools.groupby(bits):
        count = sum(1 for _ in group)
        yield f"!{count}{bit}" if count > 3 else bit * count
