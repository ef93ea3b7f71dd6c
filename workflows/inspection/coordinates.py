"""From the coordinates that a model answers in to pixels of the original picture.

Qwen2.5-VL answers in pixels of the picture after its *smart resize*; Qwen2-VL, Qwen3-VL and later
answer in thousandths of width and height (their model cards and cookbooks). The picture is sent
in the size that the endpoint would make of it, so the mapping is exact and the endpoint has
nothing left to resize.
"""

from __future__ import annotations

from qwenbelt.tools.images.picture_size import Convention, Size

BBox = tuple[float, float, float, float]


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


def inside_picture(bbox: BBox, size: Size, slack: float = 0.02) -> BBox | None:
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


def overlap_share(a: BBox, b: BBox) -> float:
    """Returns the intersection of two boxes over their union, from 0 to 1."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    both = wide * high
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return both / (areas - both)


def scaled_box(bbox: BBox, scale: float) -> BBox:
    """Returns a box in a copy of the picture that is this many times as large."""
    x1, y1, x2, y2 = bbox
    return x1 * scale, y1 * scale, x2 * scale, y2 * scale
