"""Characters that nobody sees, as escapes."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.core.terminal import terminal_text, visible_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\r\nof lines\n", None),
        ("“naïve” 中文 日本語 العربية \u0646\u200c\u0647", None),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f", None),  # joined, and a heart
        ("\u845b\U000e0100 \u8fbb\U000e0101", None),  # forms of names
        ("a\x1b[2Jb\x00\x9b\x7f", r"a\u001b[2Jb\u0000\u009b\u007f"),
        ("over\rwritten", r"over\u000dwritten"),
        ("abc\u202edcb\u2066", r"abc\u202edcb\u2066"),
        ("zero\u200bwidth\u2060\ufeff", r"zero\u200bwidth\u2060\ufeff"),
        ("tag\U000e0041", r"tag\udb40\udc41"),
        (
            "\u845b\U000e0100\U000e0101",
            "\u845b\U000e0100\\udb40\\udd01",
        ),  # a message
        ("x\U000e0100", r"x\udb40\udd00"),
    ],
)
def test_they_are_escapes_and_the_rest_stays(text: str, shown: str | None) -> None:
    assert visible_text(text) == (text if shown is None else shown)


@given(st.text(st.sampled_from('a\t\r\n\x1b\u202e\u200b\u845b\U000e0041\U000e0100\\"[')))
def test_nothing_is_lost(text: str) -> None:
    assert json.loads(visible_text(json.dumps(text, ensure_ascii=False))) == text
    shown = visible_text(text)
    assert visible_text(shown) == shown
    assert terminal_text(shown) == re.sub("\r\n", "\n", shown)
