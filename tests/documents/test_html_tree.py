"""The tree of a web page is the one that Beautiful Soup builds, without what is not shown."""

from __future__ import annotations

from typing import Any

from bs4 import BeautifulSoup, Tag
from bs4.element import PreformattedString
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenbelt.tools.documents.parsing.html.tree import parsed

PIECES = st.sampled_from(
    """<p>|</p>|<div class='a b'>|</div>|<table>|<tr>|<td rowspan=2>|</td>|</table>|<pre>|</pre>
    |<textarea>|</textarea>|<script>if (a<b) {}</script>|<style>p{}</style>|<template>|</template>
    |<ruby>|<rt>|</ruby>|<!-- x -->|<!doctype html>|<?php x ?>|<br>|<br/>|</br>|<b>|</b>|<i>|</i>
    |<o:p>|</o:p>|<svg><text>|</svg>|<a href=# HREF=2>|&amp;|&#8203;|&shy;|&nbsp;|  |\n|\t|x|<|>
    |</html>|</body>|<body id=z>|<head>|<title>t|</title>|<li>|<ul>|</ul>|é|\u200b|a\U000e0041b
    |<option selected>|<select>|<![CDATA[x]]>|\ufeff""".replace("\n    |", "|").split("|")
)
UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff\U000e0041"))


def outline(soup: Any) -> list[Any]:
    """Returns the parts of a tree in order, without those that the reader leaves out."""
    found: list[Any] = []
    for node in soup.descendants:
        if isinstance(node, Tag):
            found.append((node.name, dict(node.attrs), node.parent.name if node.parent else ""))
        elif not isinstance(node, PreformattedString):
            found.append((type(node).__name__, str(node).translate(UNSEEN)))
    return found


@settings(max_examples=150)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_the_tree_is_beautiful_soups_own(text: str) -> None:
    tree = parsed(text)
    assert outline(tree.soup) == outline(BeautifulSoup(text, "lxml", multi_valued_attributes=None))
    node, before = tree.soup.next_element, tree.soup
    while node is not None:  # the chain that `previous_elements` goes back along
        assert node.previous_element is before
        node, before = node.next_element, node  # type: ignore[assignment]
    for number, tag in enumerate(tree.tags):
        inside = [t for t in tag.descendants if isinstance(t, Tag)]
        assert tree.tags[number + 1 : tree.ends[number]] == inside
        assert all(
            a.next_sibling is b for a, b in zip(tag.contents, tag.contents[1:], strict=False)
        )
    for tag in tree.tags:
        tag.extract()
    assert not tree.soup.find_all(True)
