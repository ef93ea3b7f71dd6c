from __future__ import annotations

import io
import json
import os
import re
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.core.errors import ToolCancelled, ToolError, ToolRefused
from qwenbelt.core.paths import Fence
from qwenbelt.tools.filesystem.edits import Edit
from qwenbelt.tools.filesystem.encoding import decode_file
from qwenbelt.tools.filesystem.engine import Files, json_length
from qwenbelt.tools.filesystem.globs import glob_matcher
from qwenbelt.tools.filesystem.listing import Grep
from qwenbelt.tools.operation import MAX_REPLY_BYTES, OperationCall

CALL = OperationCall()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(Fence([tmp_path]))


# ---------------------------------------------------------------- byte-exact edits

CASES = {
    "crlf": (b"one\r\ntwo\r\nthree\r\n", "two\nthree", "2\n3", b"one\r\n2\r\n3\r\n"),
    "crlf line added": (b"a\r\nb\r\n", "b", "b\nc", b"a\r\nb\r\nc\r\n"),
    "mixed ends": (b"a\r\nb\nc\r\n", "c", "C", b"a\r\nb\nC\r\n"),
    "lone cr": (b"a\rb\rc", "b", "B", b"a\rB\rc"),
    "no final newline": (b"a\nlast", "last", "end", b"a\nend"),
    "utf-8 mark": (b"\xef\xbb\xbfhead\n", "head", "tail", b"\xef\xbb\xbftail\n"),
    "utf-16 le": ("\ufeffeins\r\nzwei\r\n".encode("utf-16-le"), "zwei", "二",
                  "\ufeffeins\r\n二\r\n".encode("utf-16-le")),
    "utf-16 be": ("\ufeffä\n".encode("utf-16-be"), "ä", "ö", "\ufeffö\n".encode("utf-16-be")),
    "latin-1": (b"caf\xe9\r\nna\xefve\r\n", "café", "thé", b"th\xe9\r\nna\xefve\r\n"),
    "gb18030": ("第一行，中文内容。\n第二行\n".encode("gb18030"), "第二行", "第三行",
                "第一行，中文内容。\n第三行\n".encode("gb18030")),
    "broken utf-8": ("中文\n".encode() + b"\xff\xfe bad\n" + "更多\n".encode(), "更多", "少",
                     "中文\n".encode() + b"\xff\xfe bad\n" + "少\n".encode()),
    "null free control": (b"\x01\x02 x \x7f\n", "x", "y", b"\x01\x02 y \x7f\n"),
    "dollar signs": (b"price\n", "price", r"$& $1 \1", rb"$& $1 \1" + b"\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_edits_touch_no_other_byte(files: Files, tmp_path: Path, name: str) -> None:
    before, old, new, after = CASES[name]
    (tmp_path / "f").write_bytes(before)
    preview = files.edit("f", [Edit(old, new)], CALL, dry_run=True)
    assert (tmp_path / "f").read_bytes() == before
    assert preview.text.startswith("```diff\n--- f\n+++ f\n@@")
    assert files.edit("f", [Edit(old, new)], CALL).text == preview.text
    assert (tmp_path / "f").read_bytes() == after


@given(st.binary(max_size=300))
def test_decoding_loses_nothing(raw: bytes) -> None:
    file = decode_file(raw)
    assert file.encode(file.text) == raw
    file.shown.encode("utf-8")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030"])
def test_encodings_are_found(encoding: str) -> None:
    text = "报告：抗拉强度 405 MPa。\n第二行，包含更多的中文内容。\n"
    assert decode_file(text.encode(encoding)).shown == text


def test_edits_that_do_not_fit(files: Files, tmp_path: Path) -> None:
    body = b"def first():\n    return 1\n\ndef second():\n    return 1\n"
    (tmp_path / "f.py").write_bytes(body)
    with pytest.raises(ToolError, match=r"occurs 2 times \(lines 2, 5\)"):
        files.edit("f.py", [Edit("return 1", "return 2")], CALL)
    with pytest.raises(ToolError, match=r"The nearest is line 4: 'def second\(\):'"):
        files.edit("f.py", [Edit("def secondd():", "x")], CALL)
    with pytest.raises(ToolError, match=r"Edit 2 was not made"):
        files.edit("f.py", [Edit("first", "1st"), Edit("nowhere to be found", "x")], CALL)
    with pytest.raises(ToolError, match="empty oldText"):
        files.edit("f.py", [Edit("", "x")], CALL)
    assert (tmp_path / "f.py").read_bytes() == body
    files.edit("f.py", [Edit("return 1", "return 2", every=True)], CALL)
    assert (tmp_path / "f.py").read_bytes() == body.replace(b"1", b"2")
    (tmp_path / "latin").write_bytes(b"caf\xe9 au lait\n")
    with pytest.raises(ToolError, match="cannot be written in this file's encoding, latin-1"):
        files.edit("latin", [Edit("lait", "牛奶")], CALL)


def test_no_edit_is_lost(files: Files, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("".join(f"<{i}>\n" for i in range(40)))
    threads = [
        threading.Thread(target=files.edit, args=("f", [Edit(f"<{i}>", f"[{i}]")], CALL))
        for i in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "f").read_text() == "".join(f"[{i}]\n" for i in range(40))


def test_a_large_file_with_a_small_edit_is_quick(files: Files, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("".join(f"line {i}\n" for i in range(200_000)))
    started = time.monotonic()
    text = files.edit("f", [Edit("line 150000\n", "changed\n")], CALL).text
    assert time.monotonic() - started < 20
    assert "@@ -149998,7 +149998,7 @@" in text


# ---------------------------------------------------------------- reading


def test_lines(files: Files, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a\nb\nc\nd\n")
    assert files.read("f", CALL).text == "a\nb\nc\nd\n"
    assert files.read("f", CALL, head=2).text == "a\nb"
    assert files.read("f", CALL, tail=2).text == "c\nd"
    assert files.read("f", CALL, tail=0).text == ""
    assert files.read("f", CALL, start=2, count=2).text == "b\nc"
    assert files.read("f", CALL, start=9).text == ""
    with pytest.raises(ToolError, match="only one of"):
        files.read("f", CALL, head=1, tail=1)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gb18030", "latin-1"])
@pytest.mark.parametrize("ended", ["\n", ""])
def test_the_ends_of_large_files(
    files: Files, tmp_path: Path, encoding: str, ended: str, monkeypatch
) -> None:
    monkeypatch.setattr("qwenbelt.tools.filesystem.reading._BLOCK", 1000)
    word = "été" if encoding == "latin-1" else "第一行中文内容"
    lines = [f"{word} {i} {'x' * (i % 90)}" for i in range(3000)]
    (tmp_path / "f").write_bytes(("\n".join(lines) + ended).encode(encoding))
    for count in (0, 1, 2, 13, 500, 2999, 3000, 9999):
        assert files.read("f", CALL, head=count).text == "\n".join(lines[:count])
        last = lines[-count:] if count else []
        assert files.read("f", CALL, tail=count).text == "\n".join(last)


def test_parts_of_a_file_that_changes(files: Files, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a" * 600_000)
    cursor = files.read("f", CALL).data["cursor"]
    (tmp_path / "f").write_text("b" * 500_000)
    assert files.read("f", CALL, cursor=cursor).text.startswith("b")


@pytest.mark.parametrize("letter", ["x", "é", "中", '"', "\x01", "😀"])
def test_long_files_come_in_parts_that_fit(files: Files, tmp_path: Path, letter: str) -> None:
    whole = letter * 300_000
    (tmp_path / "f").write_text(whole, encoding="utf-8")
    found, cursor = "", 0
    for _ in range(20):
        reply = files.read("f", CALL, cursor=cursor)
        assert json_length(reply.text) <= MAX_REPLY_BYTES
        found += reply.text
        cursor = reply.data.get("cursor")
        if cursor is None:
            break
        assert str(cursor) in reply.note
    assert found == whole


def test_what_is_no_text(files: Files, tmp_path: Path) -> None:
    (tmp_path / "bin").write_bytes(b"\x7fELF\0\0\0")
    with pytest.raises(ToolError, match="is not a text file; read_media_file"):
        files.read("bin", CALL)
    reply = files.read_media("bin", CALL)
    assert (reply.media[0].kind, reply.media[0].data) == ("file", b"\x7fELF\0\0\0")
    (tmp_path / "empty").write_bytes(b"")
    assert files.read("empty", CALL).text == ""


def test_large_pictures_are_scaled_down(tmp_path: Path) -> None:
    from PIL import Image

    files = Files(Fence([tmp_path]), max_media=100_000)
    noise = Image.frombytes("RGB", (1500, 1000), os.urandom(4_500_000))
    noise.save(tmp_path / "big.png")
    reply = files.read_media("big.png", CALL)
    (media,) = reply.media
    assert (media.kind, media.mime_type) == ("image", "image/jpeg")
    assert len(media.data) <= 100_000
    assert "1500 x 1000" in reply.note
    Image.open(io.BytesIO(media.data)).verify()
    (tmp_path / "bad.png").write_bytes(b"\x89PNG" + os.urandom(200_000))
    with pytest.raises(ToolError, match="the limit is"):
        files.read_media("bad.png", CALL)


def test_several_files(files: Files, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("A")
    text = files.read_many(["a", "missing", "../outside"], CALL).text
    assert text.startswith("a:\nA\n\n---\nmissing: Error - missing: No such file")
    assert "../outside: Error - ../outside is outside the allowed folders" in text


def test_append_keeps_the_encoding(files: Files, tmp_path: Path) -> None:
    (tmp_path / "wide").write_bytes("\ufeffa".encode("utf-16-le"))
    files.append("wide", "bé")
    assert (tmp_path / "wide").read_bytes() == "\ufeffabé".encode("utf-16-le")
    (tmp_path / "chinese").write_bytes("第一行，中文。\n".encode("gb18030"))
    files.append("chinese", "第二行\n")
    assert (tmp_path / "chinese").read_bytes() == "第一行，中文。\n第二行\n".encode("gb18030")
    files.append("new", "ü")
    assert (tmp_path / "new").read_bytes() == "ü".encode()


def test_read_only_refuses_every_change(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    files = Files(Fence([tmp_path]), read_only=True)
    for change in (
        lambda: files.write("f", "y"),
        lambda: files.append("f", "y"),
        lambda: files.edit("f", [Edit("x", "y")], CALL),
        lambda: files.make_folder("d"),
        lambda: files.move("f", "g"),
    ):
        with pytest.raises(ToolRefused, match="read-only"):
            change()
    assert os.listdir(tmp_path) == ["f"]
    assert "+y" in files.edit("f", [Edit("x", "y")], CALL, dry_run=True).text


# ---------------------------------------------------------------- listing and searching


def test_tree_is_the_reference_servers_json(files: Files, tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / "c" / 'quo"te.txt').write_text("")
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path)
    expected = [
        {"name": "a.txt", "type": "file"},
        {
            "name": "b",
            "type": "directory",
            "children": [
                {
                    "name": "c",
                    "type": "directory",
                    "children": [{"name": 'quo"te.txt', "type": "file"}],
                }
            ],
        },
        {"name": "empty", "type": "directory", "children": []},
        {"name": "loop", "type": "file"},
    ]
    text = files.tree(".", CALL).text
    assert json.loads(text) == expected
    # an empty list is written as `[]` by both
    assert text.replace("[\n        ]", "[]") == json.dumps(expected, indent=2)
    assert json.loads(files.tree(".", CALL, ["c", "*.txt", "loop"]).text) == [
        {"name": "b", "type": "directory", "children": []},
        {"name": "empty", "type": "directory", "children": []},
    ]


def flat(nodes: list[dict], prefix: str = "") -> list[str]:
    out = []
    for node in nodes:
        out.append(prefix + node["name"])
        out += flat(node.get("children", []), f"{prefix}{node['name']}/")
    return out


def test_a_large_tree_comes_in_parts(files: Files, tmp_path: Path) -> None:
    for folder in range(30):
        (tmp_path / f"folder {folder:02}" / "inner").mkdir(parents=True)
        for number in range(150):
            (tmp_path / f"folder {folder:02}" / "inner" / f"file {number:03}").touch()
    seen: list[str] = []
    cursor, parts = None, 0
    while True:
        reply = files.tree(".", CALL, cursor=cursor)
        assert json_length(reply.text) <= MAX_REPLY_BYTES + 1000
        seen += [path for path in flat(json.loads(reply.text)) if path not in set(seen)]
        cursor, parts = reply.data.get("cursor"), parts + 1
        if cursor is None:
            break
    assert parts > 1
    assert len(seen) == 30 * 152
    assert len(set(seen)) == len(seen)
    with pytest.raises(ToolError, match="no cursor"):
        files.tree(".", CALL, cursor="nonsense")


def test_a_cursor_goes_on_in_another_process_of_the_server(tmp_path: Path) -> None:
    for number in range(6000):
        (tmp_path / f"file {number:04} {'x' * 60}").touch()
    one, other = Files(Fence([tmp_path])), Files(Fence([tmp_path]))
    for ask in (
        lambda files, cursor: files.names(".", CALL, cursor),
        lambda files, cursor: files.tree(".", CALL, (), cursor),
        lambda files, cursor: files.search(".", "file*", CALL, (), cursor),
    ):
        first = ask(one, None)
        rest, kept = (ask(files, first.data["cursor"]) for files in (other, one))
        assert rest.text == kept.text
        pages = [set(re.findall(r"file (\d{4})", page.text)) for page in (first, rest)]
        assert pages[1]
        assert pages[0].isdisjoint(pages[1])
        assert ask(other, "gone:9999999").data.get("cursor") is None


GLOBS = [
    ("*.md", ["a.md", ".md"], ["d/a.md", "a.mdx"]),
    ("**/*.md", ["a.md", "d/a.md", "d/e/a.md"], ["a.txt"]),
    ("d/**", ["d/a", "d/e/f"], ["d", "e/d/a"]),
    ("**", ["a", "a/b"], []),
    ("d/**/f", ["d/f", "d/x/f", "d/x/y/f"], ["d/xf"]),
    ("?.txt", ["a.txt"], ["ab.txt", "/.txt"]),
    ("[ab]*.py", ["a.py", "bc.py"], ["c.py"]),
    ("[!ab].py", ["c.py"], ["a.py"]),
    ("*.{png,jpg}", ["a.png", "b.jpg"], ["a.gif"]),
    ("{a,b}/{c,d}", ["a/c", "b/d"], ["a/b"]),
    ("a.b", ["a.b"], ["axb"]),
    ("**/x/**/y.?", ["x/y.z", "a/x/b/c/y.z"], ["x/y"]),
    ("中*", ["中文.txt"], ["文"]),
]


@pytest.mark.parametrize(("pattern", "yes", "no"), GLOBS)
def test_globs(pattern: str, yes: list[str], no: list[str]) -> None:
    match = glob_matcher(pattern)
    assert [p for p in yes if not match(p)] == []
    assert [p for p in no if match(p)] == []


def test_a_hostile_glob_ends() -> None:
    match = glob_matcher("*a" * 50 + "b")
    started = time.monotonic()
    assert not match("a" * 250)
    assert not glob_matcher("**/a/" * 30 + "b")("a/" * 100 + "c")
    assert time.monotonic() - started < 10
    with pytest.raises(ToolError):
        glob_matcher("{a,b}" * 20)
    with pytest.raises(ToolError):
        glob_matcher("[z-a]")


def test_search_and_grep(files: Files, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.txt").write_text("alpha\nBeta\ngamma\n", encoding="utf-8")
    (tmp_path / "d" / "b.txt").write_bytes("中文第一行内容。\r\n第二行\r\n".encode("gb18030"))
    (tmp_path / "d" / "c.bin").write_bytes(b"alpha\0")
    (tmp_path / "out").symlink_to("/etc/passwd")
    assert files.search(".", "**/*.txt", CALL).text.splitlines() == [
        str(tmp_path / "d" / "a.txt"),
        str(tmp_path / "d" / "b.txt"),
    ]
    assert files.search(".", "*.none", CALL).text == "No matches found"
    reply = files.grep(".", Grep("^(alpha|beta)", ignore_case=True), CALL)
    assert reply.text == "d/a.txt:1: alpha\nd/a.txt:2: Beta"
    assert "1 binary" in reply.note
    assert files.grep(".", Grep("第二"), CALL).text == "d/b.txt:2: 第二行"
    assert files.grep(".", Grep("root"), CALL).text == "No matches found"
    shown = files.grep("d/a.txt", Grep("Beta", context=1), CALL).text
    assert shown == "a.txt-1- alpha\na.txt:2: Beta\na.txt-3- gamma"
    assert files.grep(".", Grep("a.*", include="*.md"), CALL).text == "No matches found"
    with pytest.raises(ToolError, match="is not a regular expression"):
        files.grep(".", Grep("("), CALL)


def test_an_exploding_expression_ends(files: Files, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("qwenbelt.tools.filesystem.listing._REGEX_SECONDS", 0.3)
    (tmp_path / "f").write_text("a" * 5000 + "!")
    started = time.monotonic()
    with pytest.raises(ToolError, match="takes too long on f"):
        files.grep(".", Grep(r"(.*a){12}[b-z]"), CALL)
    assert time.monotonic() - started < 20


def test_a_long_search_can_be_cancelled(files: Files, tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / str(number)).touch()
    call = OperationCall()
    call.cancelled.set()
    with pytest.raises(ToolCancelled):
        files.tree(".", call)


def test_names_that_are_no_unicode(files: Files, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"bad\xff.txt")).write_text("x")
    for text in (
        files.names(".", CALL).text,
        files.sizes(".", CALL).text,
        files.tree(".", CALL).text,
        files.search(".", "**", CALL).text,
        files.grep(".", Grep("x"), CALL).text,
    ):
        text.encode("utf-8")
        assert "bad" in text


def test_lists_and_facts(files: Files, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").write_text("x" * 2048)
    assert files.names(".", CALL).text == "[DIR] d\n[FILE] f"
    lines = files.sizes(".", CALL, "size").text.splitlines()
    assert lines[-2:] == ["Total: 1 files, 1 directories", "Combined size: 2.00 KB"]
    info = files.info("f", CALL)
    assert info.data["size"] == 2048
    assert "isFile: true" in info.text
    assert files.allowed().text == f"Allowed directories:\n{tmp_path}"
