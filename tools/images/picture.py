"""Opening pictures that people and models bring: upright, RGB, within limits."""

from __future__ import annotations

import re
import uuid
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qwenbelt.core.errors import InputError, ToolError
from qwenbelt.core.files import replacing_file
from qwenbelt.core.limits import input_file
from qwenbelt.tools.base import ToolContext

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES = 64 * 1024 * 1024
MAX_PIXELS = 120_000_000
MAX_ZOOMED = 4096  # pixels of a side


def open_picture(path: str | Path) -> Image:
    """Returns the first frame of a picture file as upright RGB.

    Raises:
        InputError: missing, not a picture, damaged, or over the limits.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    file = input_file(path, max_bytes=MAX_BYTES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    raise InputError(f"{file}: {opened.width}x{opened.height} pixels are too many.")
                opened.seek(0)
                return _flattened_rgb(ImageOps.exif_transpose(opened))
    except UnidentifiedImageError as error:
        raise InputError(f"{file}: not a picture that can be read.") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise InputError(f"{file}: too many pixels.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{file}: damaged or incomplete picture ({error}).") from error


def _flattened_rgb(picture: Image) -> Image:
    """Returns an RGB copy; what is transparent becomes white."""
    from PIL import Image

    if "A" not in picture.getbands() and "transparency" not in picture.info:
        return picture.convert("RGB")
    layered = picture.convert("RGBA")
    white = Image.new("RGBA", layered.size, "white")
    return Image.alpha_composite(white, layered).convert("RGB")


def region_of(bbox: Sequence[float], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Returns a region in whole pixels, cut to a picture of that size; sides in any order.

    Raises:
        ToolError: the region is outside the picture.
    """
    x1, x2 = sorted(min(max(round(x), 0), size[0]) for x in (bbox[0], bbox[2]))
    y1, y2 = sorted(min(max(round(y), 0), size[1]) for y in (bbox[1], bbox[3]))
    if x2 - x1 < 1 or y2 - y1 < 1:
        raise ToolError(
            f"The region lies outside the picture, which has {size[0]}x{size[1]} pixels."
        )
    return x1, y1, x2, y2


def enlarged_region(picture: Image, region: tuple[int, int, int, int], scale: float) -> Image:
    """Returns a region of a picture, enlarged; no side of it gets over 4096 pixels."""
    cut = picture.crop(region)
    factor = min(scale, MAX_ZOOMED / max(cut.size))
    return cut.resize((max(1, round(cut.width * factor)), max(1, round(cut.height * factor))))


def named_picture(
    name: str, context: ToolContext, allowed: list[str], kind: str = "picture"
) -> Path:
    """Returns the path of a picture that a model may open: one of the conversation's files.

    Args:
        name: what the model calls it.
        context: the call's context.
        allowed: further paths that may be opened.
        kind: what was looked for, for the message to the model.

    Raises:
        ToolError: there is no such file in the conversation.
    """
    if name in context.files:
        return Path(context.files[name])
    for value in allowed:
        if name in (value, Path(value).name):
            return Path(value)
    folder = context.folder
    if folder is not None and re.fullmatch(r"[\w.\- ]+", name) and (folder / name).is_file():
        return folder / name
    known = ", ".join([*context.files, *(Path(v).name for v in allowed)]) or "none"
    raise ToolError(f"There is no {kind} {name!r} in this conversation. Known: {known}.")


def output_path(context: ToolContext, stem: str, suffix: str = ".png") -> Path:
    """Returns a new path in the conversation's folder for a picture that a tool makes."""
    import tempfile

    folder = context.folder or Path(tempfile.mkdtemp(prefix="qwenbelt-images-"))
    folder.mkdir(parents=True, exist_ok=True)
    plain = re.sub(r"[^\w.-]+", "_", stem)[:60] or "picture"
    return folder / f"{plain}-{uuid.uuid4().hex[:6]}{suffix}"


def save_picture(picture: Image, target: Path) -> None:
    """Writes a picture as PNG into a folder in which others may work."""
    with replacing_file(target) as file:
        picture.save(file, "PNG")
