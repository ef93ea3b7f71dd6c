"""The fonts of the HTML page inside it, cut down to the characters that it shows.

Latin comes in every weight (17 kB), Chinese in the regular one, which browsers draw bolder. Where a
font or a character is missing, the reader's own fonts are used.
"""

from __future__ import annotations

import base64
import functools
import io
import logging
import re
from pathlib import Path

from qwenbelt.tools.plot.fonts import cjk_font, latin_font

LATIN = "".join(map(chr, (*range(0x20, 0x7F), *range(0xA0, 0x100)))) + "–—‘’“”…•€−≈≤≥→"
_CHINESE = re.compile("[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")
MOST_CHINESE = 3000  # different characters; the font would be larger than the rest of the page


def font_faces(text: str) -> str:
    """Returns the style rules that carry the fonts of a text."""
    faces = []
    latin = latin_font()
    if latin is not None:
        faces.append(_face("Report Latin", "200 900", _cut(latin, LATIN)))
    chinese = "".join(sorted(set(_CHINESE.findall(text))))
    font = cjk_font("sans") if 0 < len(chinese) <= MOST_CHINESE else None
    if font is not None and font.path.suffix.lower() in (".otf", ".ttf"):
        faces.append(_face("Report Chinese", "400", _cut(font.path, chinese)))
    return "".join(faces)


def _face(family: str, weight: str, font: bytes) -> str:
    data = base64.b64encode(font).decode()
    return (
        f'@font-face{{font-family:"{family}";font-weight:{weight};'
        f'src:url("data:font/woff;base64,{data}") format("woff")}}'
    )


@functools.lru_cache(maxsize=8)
def _cut(path: Path, characters: str) -> bytes:
    """Returns a font with only the characters, as WOFF."""
    from fontTools import subset

    logging.getLogger("fontTools").setLevel(logging.ERROR)
    options = subset.Options(layout_features=["kern", "liga"], hinting=False, notdef_outline=True)
    options.flavor = "woff"
    font = subset.load_font(str(path), options, lazy=True)
    cutter = subset.Subsetter(options)
    cutter.populate(text=characters)
    cutter.subset(font)
    out = io.BytesIO()
    font.save(out)
    font.close()
    return out.getvalue()
