from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.tools.images.picture_size import MAX_TOKENS, MIN_TOKENS, family_of, smart_resize
from qwenbelt.workflows.inspection.coordinates import inside_picture, overlap_share, to_original

sides = st.integers(20, 6000)


@given(sides, sides, st.sampled_from([28, 32]))
def test_the_resized_picture_keeps_the_preprocessors_rules(width: int, height: int, f: int) -> None:
    if max(width, height) / min(width, height) > 200:
        return
    wide, high = smart_resize((width, height), f)
    assert wide % f == 0
    assert high % f == 0
    assert MIN_TOKENS * f * f <= wide * high <= MAX_TOKENS * f * f


# what smart_resize of qwen-vl-utils 0.0.14 makes of them
@pytest.mark.parametrize(
    ("size", "factor", "resized"),
    [
        ((1920, 1080), 28, (1932, 1092)),
        ((640, 480), 28, (644, 476)),
        ((20, 20), 28, (56, 56)),
        ((8000, 6000), 28, (4116, 3080)),
        ((1920, 1080), 32, (1920, 1088)),
        ((47, 46), 32, (96, 64)),
        ((9, 43), 32, (32, 160)),
        ((8000, 6000), 32, (4704, 3520)),
    ],
)
def test_known_sizes(size: tuple[int, int], factor: int, resized: tuple[int, int]) -> None:
    assert smart_resize(size, factor) == resized


def test_a_picture_far_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        smart_resize((10_000, 20))


@pytest.mark.parametrize(
    ("model", "convention"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", "resized"),
        ("qwen2.5vl:7b", "resized"),
        ("qwen3-vl:8b", "thousand"),
        ("Qwen2-VL-2B", "thousand"),
        ("qwen-vl-max", "resized"),
        ("qwen-vl-plus-2025-05-07", "resized"),
        ("qwen-vl-max-1030", "thousand"),
        ("qwen3-vl-plus", "thousand"),
        ("some-other-model", "thousand"),
    ],
)
def test_families(model: str, convention: str) -> None:
    assert family_of(model).convention == convention


@given(st.floats(0, 1), st.floats(0, 1), sides, sides, sides, sides)
def test_mapping_is_exact_in_every_convention(
    u: float, v: float, ow: int, oh: int, sw: int, sh: int
) -> None:
    true = (u * ow, v * oh, ow, oh)
    for convention, frame in (
        ("resized", (sw, sh)),
        ("thousand", (1000, 1000)),
        ("unit", (1, 1)),
        ("original", (ow, oh)),
    ):
        answered = (u * frame[0], v * frame[1], frame[0], frame[1])
        mapped = to_original(answered, convention, (sw, sh), (ow, oh))  # type: ignore[arg-type]
        assert mapped == pytest.approx(true, abs=1e-6)


def test_boxes_are_cut_to_the_picture_or_dropped() -> None:
    assert inside_picture((10, 10, 50, 50), (100, 100)) == (10, 10, 50, 50)
    assert inside_picture((50, 50, 10, 10), (100, 100)) == (10, 10, 50, 50)
    assert inside_picture((-1, 0, 50, 101), (100, 100)) == (0, 0, 50, 100)
    assert inside_picture((150, 150, 200, 200), (100, 100)) is None
    assert inside_picture((90, 90, 300, 300), (100, 100)) is None


def test_overlap() -> None:
    assert overlap_share((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert overlap_share((0, 0, 10, 10), (10, 10, 20, 20)) == 0
    assert overlap_share((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
