"""Files inside given folders: reading, writing, editing, listing and searching."""

from __future__ import annotations

import io
import os
import secrets
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from json import dumps
from typing import Literal

from qwenbelt.core.errors import QwenbeltError, ToolError, ToolRefused
from qwenbelt.core.paths import Fence
from qwenbelt.tools.filesystem import listing
from qwenbelt.tools.filesystem.edits import Edit, apply_edits, unified_diff
from qwenbelt.tools.filesystem.encoding import decode_file, without_surrogates
from qwenbelt.tools.filesystem.globs import glob_excluder
from qwenbelt.tools.filesystem.reading import MAX_TEXT_BYTES, TooLarge, lines_of, wanted_bytes
from qwenbelt.tools.filesystem.strings import say
from qwenbelt.tools.operation import MAX_REPLY_BYTES, Media, OperationCall, OperationResult

MAX_MEDIA_BYTES = 5 * 1024 * 1024
_KEPT_LISTINGS = 8
_KEPT_CHARACTERS = 16 * 1024 * 1024  # of the one long text that is being read in parts
_TRIES = 3
_MEDIA = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".svg": "image/svg+xml",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".ogg": "audio/ogg",
    ".flac": "audio/flac",
}


_Chosen = tuple[int | None, int | None, int | None, int | None]  # head, tail, start, count


@dataclass(frozen=True)
class _Pages:
    """A long answer that is kept, so that its parts fit together."""

    entries: list[listing.Entry] | list[str]
    note: str


class Files:
    """The files inside some folders.

    Args:
        fence: the folders.
        read_only: whether every change is refused.
        max_media: bytes of a picture, sound or other binary file in one reply.
    """

    def __init__(
        self, fence: Fence, *, read_only: bool = False, max_media: int = MAX_MEDIA_BYTES
    ) -> None:
        self.fence = fence
        self.read_only = read_only
        self._max_media = max_media
        self._writing = threading.Lock()
        self._keeping = threading.Lock()
        self._kept: OrderedDict[str, _Pages] = OrderedDict()
        self._long_text: tuple[object, str, str] | None = None

    # ------------------------------------------------------------------ reading

    def read(
        self,
        path: str,
        call: OperationCall,
        *,
        head: int | None = None,
        tail: int | None = None,
        start: int | None = None,
        count: int | None = None,
        cursor: int = 0,
        encoding: str | None = None,
    ) -> OperationResult:
        """Returns a file's text or some of its lines, as much as fits one reply.

        Args:
            path: the file.
            call: the running call.
            head: only this many lines from the beginning.
            tail: only this many lines from the end.
            start: the first line wanted, from 1.
            count: how many lines from `start`.
            cursor: how many characters to skip, as given by the last reply.
            encoding: what to read it as; found out when None.

        Raises:
            ToolError: the file is missing, binary or too large; see also `Fence.reading`.
        """
        if sum(given is not None for given in (head, tail, start or count)) > 1:
            raise ToolError("Use only one of head, tail, and startLine with lineCount.")
        chosen = (head, tail, start, count)
        text, name = self._chosen_text(path, chosen, encoding, again=cursor > 0)
        part, end = text_within_budget(text, cursor)
        notes = []
        if end < len(text):
            notes.append(say("more_text", call.language, shown=end, total=len(text), cursor=end))
        if name != "utf-8":
            notes.append(say("encoding", call.language, encoding=name))
        data: dict[str, object] = {"content": part}
        if name != "utf-8":
            data["encoding"] = name
        if end < len(text):
            data["cursor"] = end
        return OperationResult(part, data, "\n".join(notes))

    def _chosen_text(
        self, path: str, chosen: _Chosen, encoding: str | None, *, again: bool
    ) -> tuple[str, str]:
        """Returns the text and its encoding; what comes in parts is decoded once."""
        head, tail, start, count = chosen
        with self.fence.reading(path) as (descriptor, facts):
            version = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
            wanted = (version, chosen, encoding)
            with self._keeping:
                kept = self._long_text
            if again and kept is not None and kept[0] == wanted:
                return kept[1], kept[2]
            few = {"head": head, "tail": tail} if encoding is None else {}
            raw = _wanted(descriptor, facts, path, **few)
        file = decode_file(raw, encoding)
        text = lines_of(file.shown, head, tail, start, count)
        with self._keeping:
            long = MAX_REPLY_BYTES < len(text) <= _KEPT_CHARACTERS
            self._long_text = (wanted, text, file.encoding) if long else None
        return text, file.encoding

    def _bytes(self, path: str) -> tuple[bytes, os.stat_result]:
        with self.fence.reading(path) as (descriptor, facts):
            return _wanted(descriptor, facts, path), facts

    def read_media(self, path: str, call: OperationCall) -> OperationResult:
        """Returns a picture, sound or any other file as it is; large pictures are scaled down."""
        with self.fence.spot(path) as spot:
            real = spot.path
        with self.fence.reading(path) as (descriptor, facts):
            mime_type = _MEDIA.get(os.path.splitext(path)[1].lower(), "application/octet-stream")
            shrinkable = mime_type in ("image/png", "image/jpeg", "image/webp", "image/bmp")
            if facts.st_size > (MAX_TEXT_BYTES if shrinkable else self._max_media):
                raise _too_large(path, facts.st_size, self._max_media)
            with os.fdopen(os.dup(descriptor), "rb") as file:
                data = file.read(MAX_TEXT_BYTES)
        note = ""
        if len(data) > self._max_media:
            data, mime_type, note = _shrunk(path, data, self._max_media, call)
        kind: Literal["image", "audio", "file"] = "file"
        if mime_type.startswith("image/"):
            kind = "image"
        elif mime_type.startswith("audio/"):
            kind = "audio"
        facts_of = {"path": without_surrogates(path), "mimeType": mime_type, "size": len(data)}
        media = Media(kind, data, mime_type, real)
        return OperationResult("", facts_of, note, (media,), media_in_data=True)

    def read_many(self, paths: list[str], call: OperationCall) -> OperationResult:
        """Returns several files' texts; one that cannot be read does not stop the others."""
        parts: list[str] = []
        budget = MAX_REPLY_BYTES
        for path in paths:
            call.check()
            try:
                reply = self.read(path, call)
                text, end = text_within_budget(reply.text, 0, max(budget, 0))
                cut = say("more_text", call.language, shown=end, total=len(reply.text), cursor=end)
                note = f"\n{cut}" if end < len(reply.text) else f"\n{reply.note}".rstrip()
                parts.append(f"{path}:\n{text}{note}\n")
            except QwenbeltError as error:
                parts.append(f"{path}: Error - {error}")
            budget -= json_length(parts[-1])
        text = without_surrogates("\n---\n".join(parts))
        return OperationResult(text, {"content": text})

    def info(self, path: str, call: OperationCall) -> OperationResult:
        """Returns a file's or folder's size, times, kind and permissions."""
        facts = self.fence.facts(path)
        data = {
            "size": facts.st_size,
            "created": _time(getattr(facts, "st_birthtime", facts.st_ctime)),
            "modified": _time(facts.st_mtime),
            "accessed": _time(facts.st_atime),
            "isDirectory": stat.S_ISDIR(facts.st_mode),
            "isFile": stat.S_ISREG(facts.st_mode),
            "permissions": f"{facts.st_mode & 0o777:03o}",
        }
        text = "\n".join(f"{name}: {_shown(value)}" for name, value in data.items())
        return OperationResult(text, {"content": text, **data})

    # ------------------------------------------------------------------ changing

    def _changing(self) -> None:
        if self.read_only:
            raise ToolRefused("The files are read-only here.")

    def write(self, path: str, content: str) -> OperationResult:
        """Makes a file or gives it new content, whole or not at all."""
        self._changing()
        with self._writing:
            self.fence.write(path, _utf8(content))
        return _done(f"Successfully wrote to {path}")

    def append(self, path: str, content: str) -> OperationResult:
        """Adds text to the end of a file, in the file's own encoding; makes it if missing."""
        self._changing()
        with self._writing:
            data = _utf8(content)
            if not data.isascii() or self._is_wide(path):
                data = self._in_its_encoding(path, content, data)
            self.fence.append(path, data)
        return _done(f"Successfully appended to {path}")

    def _is_wide(self, path: str) -> bool:
        try:
            with self.fence.reading(path) as (descriptor, _):
                return os.read(descriptor, 2) in (b"\xff\xfe", b"\xfe\xff")
        except ToolError:
            return False

    def _in_its_encoding(self, path: str, content: str, data: bytes) -> bytes:
        try:
            raw, _ = self._bytes(path)
        except ToolError:
            return data
        file = decode_file(raw)
        return file.encode(content)[len(file.mark) :] if raw else data

    def edit(
        self, path: str, edits: list[Edit], call: OperationCall, *, dry_run: bool = False
    ) -> OperationResult:
        """Replaces text in a file and returns the difference; see `edits.apply`.

        Raises:
            ToolError: an edit does not fit, or the file keeps changing meanwhile.
        """
        if not dry_run:
            self._changing()
        with self._writing:
            for _ in range(_TRIES):
                call.check()
                raw, seen = self._bytes(path)
                file = decode_file(raw)
                after = apply_edits(file, edits)
                data = file.encode(after)
                if dry_run or self.fence.write(path, data, seen=seen):
                    text = unified_diff(path, file.text, after)
                    shown, end = text_within_budget(text, 0)
                    return _done(shown if end == len(text) else f"{shown}\n…")
        raise ToolError(f"{path} keeps changing; somebody else is writing it.")

    def make_folder(self, path: str) -> OperationResult:
        """Makes a folder and those above it."""
        self._changing()
        self.fence.make_folder(path)
        return _done(f"Successfully created directory {path}")

    def move(self, source: str, destination: str) -> OperationResult:
        """Moves or renames a file or folder; never onto something that exists."""
        self._changing()
        with self._writing:
            self.fence.move(source, destination)
        return _done(f"Successfully moved {source} to {destination}")

    # ------------------------------------------------------------------ listing

    def names(self, path: str, call: OperationCall, cursor: str | None = None) -> OperationResult:
        """Returns the names in a folder, folders marked."""
        key, start = self._kept_at(cursor)
        if key is None:
            with self.fence.folder(path) as descriptor, os.scandir(descriptor) as found:
                names = sorted((e.name, e.is_dir(follow_symlinks=False)) for e in found)
            lines = [f"[{'DIR' if d else 'FILE'}] {without_surrogates(n)}" for n, d in names]
            key = self._keep(lines)
        return self._page_of_lines(key, start, call)

    def sizes(
        self, path: str, call: OperationCall, sort_by: Literal["name", "size"] = "name"
    ) -> OperationResult:
        """Returns the names in a folder with their sizes, and their sum."""
        rows: list[tuple[str, bool, int]] = []
        with self.fence.folder(path) as descriptor, os.scandir(descriptor) as found:
            for entry in found:
                facts = entry.stat(follow_symlinks=False)
                is_folder = stat.S_ISDIR(facts.st_mode)
                rows.append((without_surrogates(entry.name), is_folder, facts.st_size))
        rows.sort(key=(lambda r: (-r[2], r[0])) if sort_by == "size" else (lambda r: (r[0],)))
        lines = [
            f"{'[DIR]' if d else '[FILE]'} {n:<30} {'' if d else size_text(s):>10}".rstrip()
            for n, d, s in rows
        ]
        files = [size for _, is_folder, size in rows if not is_folder]
        total = f"Total: {len(files)} files, {len(rows) - len(files)} directories"
        lines += ["", total, f"Combined size: {size_text(sum(files))}"]
        return self._page_of_lines(self._keep(lines), 0, call)

    def tree(
        self, path: str, call: OperationCall, exclude: Iterable[str] = (), cursor: str | None = None
    ) -> OperationResult:
        """Returns everything below a folder as nested JSON."""
        key, start = self._kept_at(cursor)
        if key is None:
            walker = self._walker(call, exclude, names_anywhere=True)
            key = self._keep(listing.folder_tree(walker, path), _depth_note(walker, call))
        pages = self._kept[key]
        text, end = listing.tree_text(pages.entries, start, MAX_REPLY_BYTES)  # type: ignore[arg-type]
        return self._page(text, key, end, call)

    def search(
        self,
        path: str,
        pattern: str,
        call: OperationCall,
        exclude: Iterable[str] = (),
        cursor: str | None = None,
    ) -> OperationResult:
        """Returns the full paths below a folder that match a glob pattern."""
        key, start = self._kept_at(cursor)
        if key is not None:
            return self._page_of_lines(key, start, call)
        walker = self._walker(call, exclude)
        with self.fence.spot(path) as spot:
            top = spot.path
        found = listing.search_names(walker, path, pattern)
        if not found:
            return _done(say("no_matches", call.language))
        lines = [without_surrogates(os.path.join(top, name)) for name in found]
        return self._page_of_lines(self._keep(lines, _depth_note(walker, call)), start, call)

    def grep(
        self,
        path: str,
        grep: listing.Grep,
        call: OperationCall,
        exclude: Iterable[str] = (),
        cursor: str | None = None,
    ) -> OperationResult:
        """Returns the lines of files that match a regular expression."""
        key, start = self._kept_at(cursor)
        if key is not None:
            return self._page_of_lines(key, start, call)
        walker = self._walker(call, exclude, names_anywhere=True)
        grep.run(walker, path)
        notes = [_depth_note(walker, call)]
        if grep.binary or grep.large:
            notes.append(say("skipped", call.language, binary=grep.binary, large=grep.large))
        note = "\n".join(line for line in notes if line)
        if not grep.found:
            text = say("no_matches", call.language)
            return OperationResult(text, {"content": text}, note)
        return self._page_of_lines(self._keep(grep.found[: grep.limit], note), start, call)

    def allowed(self) -> OperationResult:
        """Returns the folders."""
        return _done("\n".join(["Allowed directories:", *self.fence.folders]))

    def _walker(
        self, call: OperationCall, exclude: Iterable[str], *, names_anywhere: bool = False
    ) -> listing.Walker:
        return listing.Walker(
            self.fence, call, glob_excluder(exclude, names_anywhere=names_anywhere)
        )

    # ------------------------------------------------------------------ pages

    def _keep(self, entries: list[listing.Entry] | list[str], note: str = "") -> str:
        key = secrets.token_hex(4)
        with self._keeping:
            self._kept[key] = _Pages(entries, note)
            while len(self._kept) > _KEPT_LISTINGS:
                self._kept.popitem(last=False)
        return key

    def _kept_at(self, cursor: str | None) -> tuple[str | None, int]:
        """Returns the kept answer that a cursor goes on in, and where.

        One that is kept no more, or in another process of the server, is made again.
        """
        if cursor is None:
            return None, 0
        key, _, position = cursor.partition(":")
        if not position.isdigit():
            raise ToolError("That is no cursor of this tool.")
        return key if key in self._kept else None, int(position)

    def _page_of_lines(self, key: str, start: int, call: OperationCall) -> OperationResult:
        lines: list[str] = self._kept[key].entries  # type: ignore[assignment]
        end, size = start, 0
        while end < len(lines) and (size < MAX_REPLY_BYTES or end == start):
            size += json_length(lines[end]) + 2
            end += 1
        return self._page("\n".join(lines[start:end]), key, end, call)

    def _page(self, text: str, key: str, end: int, call: OperationCall) -> OperationResult:
        pages = self._kept[key]
        total = len(pages.entries)
        data: dict[str, object] = {"content": text}
        if end >= total:
            return OperationResult(text, data, pages.note)
        cursor = data["cursor"] = f"{key}:{end}"
        return OperationResult(
            text, data, say("more_entries", call.language, shown=end, total=total, cursor=cursor)
        )


def json_length(text: str) -> int:
    """Returns how many bytes a text takes as JSON in UTF-8."""
    if text.isascii() and len(text) < 64 and text.isprintable() and '"' not in text:
        return len(text) + text.count("\\")
    return len(dumps(text, ensure_ascii=False).encode("utf-8", "replace")) - 2


def text_within_budget(text: str, start: int, budget: int = MAX_REPLY_BYTES) -> tuple[str, int]:
    """Returns as much of a text from `start` as fits the budget as JSON, and where it ends."""
    start = min(max(start, 0), len(text))
    end = min(len(text), start + budget)
    while end > start and (size := json_length(text[start:end])) > budget:
        end = start + int((end - start) * budget / size * 0.98)
    return text[start:end], end


def size_text(size: int) -> str:
    """Returns bytes in the largest unit of 1024 that fits, as the reference server does."""
    value, unit = float(size), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{size} B" if unit == "B" else f"{value:.2f} {unit}"


def _done(text: str) -> OperationResult:
    text = without_surrogates(text)
    return OperationResult(text, {"content": text})


def _utf8(content: str) -> bytes:
    try:
        return content.encode("utf-8")
    except UnicodeEncodeError:
        raise ToolError("The content has half of a surrogate pair, which is no text.") from None


def _wanted(descriptor: int, facts: os.stat_result, path: str, **lines: int | None) -> bytes:
    try:
        return wanted_bytes(descriptor, facts.st_size, path, **lines)
    except TooLarge:
        raise _too_large(path, facts.st_size, MAX_TEXT_BYTES) from None


def _too_large(path: str, size: int, limit: int) -> ToolError:
    return ToolError(f"{path} has {size_text(size)}; the limit is {size_text(limit)}.")


def _depth_note(walker: listing.Walker, call: OperationCall) -> str:
    return say("deep", call.language, depth=listing.MAX_DEPTH) if walker.too_deep else ""


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shrunk(path: str, data: bytes, limit: int, call: OperationCall) -> tuple[bytes, str, str]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as opened:
            picture = opened.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise _too_large(path, len(data), limit) from error
    old = picture.size
    for side in (2048, 1568, 1024, 768, 512):
        picture.thumbnail((side, side))
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=85)
        if out.tell() <= limit:
            sizes = [f"{width} x {height}" for width, height in (old, picture.size)]
            note = say("shrunk", call.language, old=sizes[0], new=sizes[1])
            return out.getvalue(), "image/jpeg", note
    raise _too_large(path, len(data), limit)
