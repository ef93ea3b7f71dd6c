"""Markdown read safely, and written so that it reads back the same."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenbelt.workflows.report.markdown import write_markdown
from qwenbelt.workflows.report.prose import block_text, inline_lists, parse_prose, plain_text


def cites(text: str) -> list[tuple[int, str]]:
    found = []
    for nodes in inline_lists(parse_prose(text)):
        found += [(n["source"], n["quote"]) for n in nodes if n["kind"] == "cite"]
    return found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It is 5 [3].", [(3, "")]),
        ("It is 5 [3, 7][8].", [(3, ""), (7, ""), (8, "")]),
        ("为 5【3】。", [(3, "")]),
        ("为 5【3，7】。", [(3, ""), (7, "")]),
        ('It is 5 [3 "is exactly 5"].', [(3, "is exactly 5")]),
        ("| a |\n|--|\n| 1 [4] |", [(4, "")]),
        ("`x[3]` and [text] and [a1]", []),
        ("[1]: http://evil.example\n\nSee [1].", [(1, ""), (1, "")]),
        ("[3](http://a.example)", []),
    ],
)
def test_citations_are_found(text: str, found: list[tuple[int, str]]) -> None:
    assert [c for c in cites(text)] == found  # noqa: C416 - a list of tuples is wanted


def test_html_scripts_and_local_links_are_only_text() -> None:
    text = "<script>alert(1)</script> [x](javascript:alert(1)) [y](/etc/passwd) [z](https://a.b)"
    (block,) = parse_prose(text)
    kinds = [n["kind"] for n in block["inline"]]
    assert kinds.count("link") == 1
    assert "<script>" in plain_text(block["inline"])


def test_pictures_become_blocks_and_keep_their_name() -> None:
    blocks = parse_prose("Before ![抗拉强度](图-1.png) after")
    assert [b["kind"] for b in blocks] == ["paragraph", "figure", "paragraph"]
    assert blocks[1]["name"] == "图-1.png"


def test_chinese_lines_are_joined_without_a_space() -> None:
    (block,) = parse_prose("平均抗拉\n强度 and\nmore")
    assert plain_text(block["inline"]) == "平均抗拉强度 and more"


def test_deep_nesting_and_long_texts_end() -> None:
    parse_prose("> " * 5000 + "x")
    parse_prose("[" * 20_000)
    parse_prose("*a " * 20_000)
    assert len(block_text(parse_prose("x" * 1_000_000)[0])) <= 400_000


def comparable(value: Any) -> Any:
    """A tree without what Markdown cannot keep: neighbouring spaces, empty emphasis."""
    return json.dumps(value, ensure_ascii=False)


_TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=60)


@settings(max_examples=300, deadline=None)
@given(_TEXT)
def test_any_text_is_written_so_that_it_shows_as_text(text: str) -> None:
    clean = " ".join(text.split())
    if not clean:
        return
    block = {"kind": "paragraph", "inline": [{"kind": "text", "text": clean}]}
    back = parse_prose(write_markdown([block]))
    assert [b["kind"] for b in back] == ["paragraph"]
    shown = plain_text(back[0]["inline"])
    assert shown == clean
    assert not any(n["kind"] == "cite" for n in back[0]["inline"])


_MARKDOWN = st.lists(
    st.sampled_from(
        [
            "word", "**bold**", "*em*", "`code`", "[3]", "a_b", "|", "#", "- item", "1. one", "> q",
            "\n", "\n\n", "\n| a | b |\n|---|--:|\n| 1 | 2 |\n", "```\ncode\n```\n", "---\n",
            "![cap](x.png)", "  \n", "   \n#",
            "[link](https://a.b/c)", "~~s~~", "\\", "&amp;", "<b>", "  ",
        ]
    ),
    max_size=14,
).map(" ".join)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(_MARKDOWN)
def test_written_markdown_reads_back_as_the_same_words(text: str) -> None:
    blocks = parse_prose(text)
    for nodes in inline_lists(blocks):
        number(nodes)
    for block in blocks:
        figures(block)
    once = write_markdown(blocks)
    again = parse_prose(once)
    assert words(again) == words(blocks)


def number(nodes: list[Any]) -> None:
    for node in nodes:
        if node["kind"] == "cite":
            node["n"] = node["source"]
        number(node.get("inline", []))


def figures(block: Any) -> None:
    if block["kind"] == "figure":
        block |= {"path": f"figures/{block['name']}", "label": "Figure"}
    for inner in block.get("blocks", []) + [b for i in block.get("items", []) for b in i]:
        figures(inner)


def words(blocks: list[Any]) -> list[str]:
    texts = [block_text(b) for b in blocks if b["kind"] != "figure"]
    found = " ".join(texts).replace("Figure cap", "").split()
    return found
