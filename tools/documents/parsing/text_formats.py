"""Text, Markdown and HTML become blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.tools.documents.parsing.pagination import Block, Paragraph, TableRows, Title

if TYPE_CHECKING:
    from bs4 import Tag

_BLANK = re.compile(r"\n[ \t\r\f\v]*\n\s*")
_NOT_SHOWN = frozenset({"script", "style", "noscript", "template", "head", "svg", "iframe"})
_BLOCKS = frozenset(
    """address article aside blockquote body caption center dd details div dl dt fieldset
    figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr html li main nav ol p pre section
    summary table tbody td tfoot th thead tr ul br""".split()
)
_KANA = re.compile(r"[\u3041-\u30ff]")  # not half-width: those bytes are common in GB 18030
_ENCODINGS = "gb18030 big5 euc_jp euc_kr cp1251 cp1252 cp1250 cp1253 koi8_r".split()
MAX_NODES = 2_000_000


def decoded(data: bytes) -> str:
    """Returns text of bytes in UTF-8, UTF-16 with a mark, or the likeliest other encoding."""
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8-sig"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _guessed(data)


def _guessed(data: bytes) -> str:
    sample = data[:200_000]
    if sum(byte >= 0x80 for byte in sample) < 0.15 * len(sample):
        return data.decode("cp1252", "replace")  # a few accents: what browsers assume
    japanese = sample.decode("shift_jis", "ignore")
    if len(_KANA.findall(japanese)) > 0.2 * len(japanese):
        return data.decode("shift_jis", "replace")
    from charset_normalizer import from_bytes

    short = len(sample) < 60  # too little to tell by its statistics
    best = None if short else from_bytes(sample, cp_isolation=_ENCODINGS).best()
    return data.decode(best.encoding if best else "gb18030", "replace")


def text_blocks(text: str) -> Iterator[Block]:
    """Yields the paragraphs of plain text."""
    for paragraph in _BLANK.split(text.replace("\r\n", "\n").replace("\r", "\n")):
        if paragraph.strip():
            yield Paragraph(paragraph.strip("\n"))


def markdown_blocks(text: str) -> Iterator[Block]:
    """Yields titles, tables and the source of all else, by CommonMark with tables."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    lines = text.split("\n")
    index = 0
    while index < len(tokens):
        token = tokens[index]
        end = _closing(tokens, index)
        if token.type == "heading_open":
            yield Title(tokens[index + 1].content, int(token.tag[1:]))
        elif token.type == "table_open":
            yield TableRows(_markdown_rows(tokens[index:end]))
        elif token.map is not None:
            yield Paragraph("\n".join(lines[token.map[0] : token.map[1]]).strip("\n"))
        index = end + 1


def _closing(tokens: list[Any], index: int) -> int:
    """Returns the index of the token that closes a block."""
    depth = 0
    for place in range(index, len(tokens)):
        depth += tokens[place].nesting
        if depth == 0:
            return place
    return len(tokens) - 1


def _markdown_rows(tokens: list[Any]) -> list[list[str]]:
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows:
            rows[-1].append(token.content)
    return rows


def html_title(soup: Any) -> str:
    """Returns the title that a page gives itself, or ""."""
    return " ".join(soup.title.get_text().split()) if soup.title else ""


def html_soup(data: bytes) -> Any:
    """Returns the parsed page; its encoding is the declared or the likeliest one."""
    from bs4 import BeautifulSoup

    return BeautifulSoup(data, "lxml")


def html_blocks(soup: Any) -> Iterator[Block]:
    """Yields what a browser would show, as titles, tables and paragraphs."""
    from bs4.element import NavigableString, PreformattedString

    inline: list[str] = []
    waiting: list[Any] = [soup.body or soup]
    for _ in range(MAX_NODES):
        if not waiting:
            break
        node = waiting.pop()
        if node is None:
            yield from _paragraph(inline)
        elif isinstance(node, PreformattedString):
            continue  # comments and declarations
        elif isinstance(node, NavigableString):
            inline.append(str(node))
        elif node.name not in _NOT_SHOWN and "hidden" not in node.attrs:
            yield from _enter(node, inline, waiting)
    yield from _paragraph(inline)


def _enter(node: Tag, inline: list[str], waiting: list[Any]) -> Iterator[Block]:
    """Turns a title or a table into a block; of other elements the children are next."""
    name = node.name or ""
    if name not in _BLOCKS:
        waiting.extend(reversed(node.contents))
        return
    yield from _paragraph(inline)
    if re.fullmatch("h[1-6]", name):
        yield Title(node.get_text(" "), int(name[1]))
    elif name == "table" and (rows := _html_rows(node)):
        caption = node.find("caption")
        yield TableRows(rows, _squeezed(caption.get_text(" ")) if caption else "")
    elif name == "pre":
        yield Paragraph(node.get_text().strip("\n"))
    else:
        waiting.append(None)
        waiting.extend(reversed(node.contents))


def _paragraph(inline: list[str]) -> Iterator[Block]:
    text = _squeezed("".join(inline))
    inline.clear()
    if text:
        yield Paragraph(text)


def _html_rows(table: Tag) -> list[list[str]]:
    """Returns the cells of a table of data, or nothing for one that is used for layout."""
    if table.find("table") is not None:
        return []
    rows = [
        [_squeezed(cell.get_text(" ")) for cell in row.find_all(["td", "th"])]
        for row in table.find_all("tr")
    ]
    rows = [row for row in rows if any(row)]
    is_data = len(rows) >= 2 and max(map(len, rows)) >= 2
    return rows if is_data else []


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def read_text(file: Path) -> str:
    """Returns the text of a file."""
    return decoded(file.read_bytes())
