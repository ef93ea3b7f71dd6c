"""From the coordinates that a model answers in to pixels of the original picture.

Qwen2.5-VL answers in pixels of the picture after its *smart resize*; Qwen2-VL, Qwen3-VL and later
answer in thousandths of width and height (their model cards and cookbooks). The picture is sent
in the size that the endpoint would make of it, so the mapping is exact and the endpoint has
nothing left to resize.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

Convention = Literal["resized", "thousand", "unit", "original"]
Size = tuple[int, int]
BBox = tuple[float, float, float, float]

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


def to_original(bbox: BBox, convention: Convention, sent: Size, original: Size) -> BBox:
    """Returns a box in pixels of the original picture.

    Args:
        bbox: x1, y1, x2, y2 as the model answered.
        convention: what its numbers mean.
        sent: width and height of the picture that was sent.
        original: width and height of the upright original.
    """
    frames: dict[Convention, tuple[float, float]] = {
        "resized": sent,
        "thousand": (1000.0, 1000.0),
        "unit": (1.0, 1.0),
        "original": original,
    }
    wide, high = frames[convention]
    x, y = original[0] / wide, original[1] / high
    return bbox[0] * x, bbox[1] * y, bbox[2] * x, bbox[3] * y


def inside(bbox: BBox, size: Size, slack: float = 0.02) -> BBox | None:
    """Returns the box cut to the picture; None when nothing of it, or far too little, is inside.

    Args:
        bbox: x1, y1, x2, y2 in pixels, in any order.
        size: width and height of the picture.
        slack: how far outside, as a share of the side, still counts as a rounding error.
    """
    x1, x2 = sorted((bbox[0], bbox[2]))
    y1, y2 = sorted((bbox[1], bbox[3]))
    width, height = size
    far = (-slack * width, -slack * height, (1 + slack) * width, (1 + slack) * height)
    outside = x1 < far[0] or y1 < far[1] or x2 > far[2] or y2 > far[3]
    cut = (max(0.0, x1), max(0.0, y1), min(float(width), x2), min(float(height), y2))
    if cut[2] - cut[0] < 1 or cut[3] - cut[1] < 1:
        return None
    area, kept = (x2 - x1) * (y2 - y1), (cut[2] - cut[0]) * (cut[3] - cut[1])
    return None if outside and kept < 0.5 * area else cut


def overlap(a: BBox, b: BBox) -> float:
    """Returns the intersection of two boxes over their union, from 0 to 1."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    both = wide * high
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return both / (areas - both)
