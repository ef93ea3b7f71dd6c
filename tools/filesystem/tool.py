"""The file tools for agents: the session's folder, or the folders of the configuration."""

from __future__ import annotations

import functools
import os
from typing import Any

from qwenbelt.core.paths import Fence
from qwenbelt.core.settings import load_settings
from qwenbelt.tools.base import ToolContext
from qwenbelt.tools.filesystem.engine import Files
from qwenbelt.tools.filesystem.operations import OPERATIONS
from qwenbelt.tools.local import LocalTool

_BY_NAME = {operation.name: operation for operation in OPERATIONS}


class FileTool(LocalTool):
    """What the file tools share.

    Args:
        cfg: `folders` (a list; default: the session's working folder), `read_only` (bool).
    """

    def engine(self, context: ToolContext) -> Files:
        """Returns the files that this conversation may use."""
        folders = self.cfg.get("folders") or [context.folder or _own_folder()]
        if isinstance(folders, str):
            folders = [folders]
        # one engine for equal folders, so that edits of all tools wait for each other
        return _files(tuple(str(f) for f in folders), bool(self.cfg.get("read_only")))

    def resources(self, arguments: Any) -> tuple[set[str], set[str]]:
        """Returns the paths that are read, and those that are written."""
        names = ("path", "source", "destination")
        paths = [path for name in names if (path := getattr(arguments, name, None))]
        paths += getattr(arguments, "paths", ())
        touched = {f"file:{os.path.normpath(path)}" for path in paths}
        return (touched, set()) if self.read_only else (set(), touched)


@functools.lru_cache(maxsize=256)
def _files(folders: tuple[str, ...], read_only: bool) -> Files:
    return Files(Fence(folders), read_only=read_only)


def _own_folder() -> str:
    folder = load_settings().workspace / "files"
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


class FileRead(FileTool):
    """Reads a text file."""

    name = "file_read"
    operation = _BY_NAME["read_text_file"]


class FileReadMedia(FileTool):
    """Reads a picture, sound or other file."""

    name = "file_read_media"
    operation = _BY_NAME["read_media_file"]


class FileReadMany(FileTool):
    """Reads several text files."""

    name = "file_read_many"
    operation = _BY_NAME["read_multiple_files"]


class FileWrite(FileTool):
    """Makes or overwrites a file."""

    name = "file_write"
    operation = _BY_NAME["write_file"]


class FileAppend(FileTool):
    """Adds to a file."""

    name = "file_append"
    operation = _BY_NAME["append_file"]


class FileEdit(FileTool):
    """Replaces text in a file."""

    name = "file_edit"
    operation = _BY_NAME["edit_file"]


class FileMakeFolder(FileTool):
    """Makes a folder."""

    name = "file_make_folder"
    operation = _BY_NAME["create_directory"]


class FileList(FileTool):
    """Lists a folder with sizes."""

    name = "file_list"
    operation = _BY_NAME["list_directory_with_sizes"]


class FileTree(FileTool):
    """Shows all below a folder."""

    name = "file_tree"
    operation = _BY_NAME["directory_tree"]


class FileMove(FileTool):
    """Moves or renames."""

    name = "file_move"
    operation = _BY_NAME["move_file"]


class FileSearch(FileTool):
    """Finds files by name."""

    name = "file_search"
    operation = _BY_NAME["search_files"]


class FileGrep(FileTool):
    """Finds lines in files."""

    name = "file_grep"
    operation = _BY_NAME["grep_files"]


class FileInfo(FileTool):
    """Reports size, times and kind of a file."""

    name = "file_info"
    operation = _BY_NAME["get_file_info"]
