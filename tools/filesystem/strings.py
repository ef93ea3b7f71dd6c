"""Texts of the file tools, in English and Chinese."""

from __future__ import annotations

from qwenbelt.core.texts import Texts

_TEXTS = {
    "more_text": (
        "[{shown} of {total} bytes; go on with cursor {cursor}]",
        "[共 {total} 字节，已到 {shown}；用 cursor {cursor} 继续]",
    ),
    "more_entries": (
        "[{shown} of {total} entries; go on with cursor {cursor!r}]",
        "[共 {total} 项，已到 {shown}；用 cursor {cursor!r} 继续]",
    ),
    "encoding": ("[read as {encoding}]", "[按 {encoding} 读取]"),
    "no_matches": ("No matches found", "没有匹配项"),
    "skipped": (
        "[not searched: {binary} binary and {large} large files]",
        "[未搜索：{binary} 个二进制文件，{large} 个过大的文件]",
    ),
    "deep": (
        "[folders deeper than {depth} levels were left out]",
        "[深度超过 {depth} 层的文件夹已略去]",
    ),
    "shrunk": (
        "[the picture was scaled from {old} to {new} pixels to fit a reply]",
        "[图片已从 {old} 像素缩小到 {new} 像素，以便放入回复]",
    ),
}
say = Texts(_TEXTS)
