"""The size that Qwen's vision preprocessor makes of a picture, and which family has which rule."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

Convention = Literal["resized", "thousand", "unit", "original"]
Size = tuple[int, int]

FACTOR = 28  # two merged 14-pixel patches (Qwen2-VL's and Qwen2.5-VL's preprocessor_config.json)
MIN_TOKENS, MAX_TOKENS = 4, 16384  # of a picture; a token is a square of the factor
DASHSCOPE_MAX_PIXELS = 28 * 28 * 1280  # its default without vl_high_resolution_images
MAX_RATIO = 200

# which family answers how; the first pattern that fits a model's name decides
_FAMILIES: tuple[tuple[str, Convention, int], ...] = (
    (r"qwen-?2[._]?5-?(vl|omni)", "resized", 28),
    # DashScope's stable names and the snapshots of 2025 are Qwen2.5-VL, those before it Qwen2-VL
    (r"(^|/)qwen-vl-(max|plus)(-latest|-2025-\d\d-\d\d)?$", "resized", 28),
    (r"qwen-?2-?vl", "thousand", 28),
    (r"qwen", "thousand", 32),
    (r"", "thousand", 32),
)


@dataclass(frozen=True)
class Family:
    """How a family of models answers, and the side that pictures are cut to."""

    convention: Convention
    factor: int


def family_of(model: str) -> Family:
    """Returns how models of this name answer; thousandths for those that are not known."""
    name = model.lower()
    for pattern, convention, factor in _FAMILIES:
        if re.search(pattern, name):
            return Family(convention, factor)
    return Family("thousand", 32)


def smart_resize(
    size: Size,
    factor: int = FACTOR,
    max_pixels: int | None = None,
) -> Size:
    """Returns the width and height that Qwen's vision preprocessor makes of a picture.

    The rule of `smart_resize` in Qwen's published preprocessing (qwen-vl-utils): both sides
    multiples of the factor, the area within its limits, the shape kept as far as that allows.

    Args:
        size: width and height of the picture.
        factor: 28 for Qwen2-VL and Qwen2.5-VL, 32 for Qwen3-VL.
        max_pixels: of the result; as many as the preprocessor allows when None.

    Raises:
        ValueError: one side is more than 200 times the other.
    """
    width, height = size
    if max(width, height) / min(width, height) > MAX_RATIO:
        raise ValueError(f"a picture of {width}x{height} is too long for its width")
    min_pixels = MIN_TOKENS * factor**2
    if max_pixels is None:
        max_pixels = MAX_TOKENS * factor**2
    wide = max(factor, round(width / factor) * factor)
    high = max(factor, round(height / factor) * factor)
    if wide * high > max_pixels:
        beta = math.sqrt(width * height / max_pixels)
        wide = max(factor, math.floor(width / beta / factor) * factor)
        high = max(factor, math.floor(height / beta / factor) * factor)
    elif wide * high < min_pixels:
        beta = math.sqrt(min_pixels / (width * height))
        wide = math.ceil(width * beta / factor) * factor
        high = math.ceil(height * beta / factor) * factor
    return wide, high
