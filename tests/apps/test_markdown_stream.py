"""Cutting a growing Markdown text into blocks."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.apps.markdown_stream import MarkdownStream
from qwenbelt.core.terminal import terminal_json, terminal_text

TEXT = """# Title

A paragraph
of two lines.

```python
a = 1

b = 2
```
1. one

   still one
2. two

The end.
"""


def blocks_of(text: str, size: int) -> list[str]:
    stream = MarkdownStream()
    blocks = [
        block for at in range(0, len(text), size) for block in stream.feed(text[at : at + size])
    ]
    return [*blocks, stream.finish()]


def test_blocks_are_the_same_whatever_the_pieces() -> None:
    expected = [
        "# Title\n",
        "A paragraph\nof two lines.\n",
        "```python\na = 1\n\nb = 2\n```\n",
        "1. one\n\n   still one\n2. two\n\n",
        "The end.\n",
    ]
    for size in (1, 2, 7, 1000):
        assert blocks_of(TEXT, size) == expected


def test_code_of_an_item_stays_in_its_list() -> None:
    listed = "1. one\n\n   ```python\n   a = 1\n\n   1. no item\n   ```\n2. two\n   - deep\n\n"
    deep = "     ~~~\n     b\n     ~~~\n10. ten\n\n"
    for size in (1, 3, 1000):
        assert blocks_of(f"{listed}{deep}The end.\n", size) == [listed + deep, "The end.\n"]
    # a fence that is never closed ends with its item
    assert blocks_of("- a\n  ```\n  b\n\nNo code.\n\n", 2)[:2] == [
        "- a\n  ```\n  b\n\n",
        "No code.\n",
    ]


@given(st.text(alphabet="ab`~\n -1.#", max_size=200), st.integers(1, 9))
def test_no_character_is_lost_but_empty_lines(text: str, size: int) -> None:
    joined = "".join(blocks_of(text, size))
    assert joined.replace("\n", "").replace(" ", "") == text.replace("\n", "").replace(" ", "")


@given(st.text(max_size=100))
def test_terminal_text_has_no_control_characters(text: str) -> None:
    shown = terminal_text(text)
    assert all(c in "\n\t" or ord(c) >= 32 for c in shown)
    assert "\x1b" not in shown
    assert terminal_text(shown) == shown


def test_escape_sequences_go_whole() -> None:
    hostile = "a\x1b]52;c;ZXZpbA==\x07b\x1b[2Jc\x1b]8;;http://evil\x1b\\d\x9b31me"
    assert terminal_text(hostile) == "abcde"


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("A\x1b\x1b[31m[2JB", "A[2JB"),
        ("A\x9b2JB", "AB"),
        ("\x1b(0C \x07D", "C D"),
        ("\u202egnp.exe\u2066\u200f", "gnp.exe"),
        ("a\U000e0041\U000e0042b", "ab"),
        ("a\x1b\x9b\x1b]0;t\x9c]0;x\x07b", "a]0;xb"),
    ],
)
def test_nothing_is_left_and_nothing_comes_about(hostile: str, shown: str) -> None:
    assert terminal_text(hostile) == shown


@given(st.text(max_size=60))
def test_json_keeps_its_value_and_has_no_controls(text: str) -> None:
    written = terminal_json(json.dumps(text, ensure_ascii=False))
    assert json.loads(written) == text
    assert terminal_text(written) == written
