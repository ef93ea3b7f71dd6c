"""The file tools: the reference server's names and arguments, and some of our own.

Sources: `@modelcontextprotocol/server-filesystem` 2026.8 for the names, arguments and outputs of
the first fourteen; `grep_files`, `append_file`, line ranges and cursors are ours.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from qwenbelt.tools.arguments import NoArguments
from qwenbelt.tools.filesystem.edits import Edit
from qwenbelt.tools.filesystem.engine import Files
from qwenbelt.tools.filesystem.listing import Grep
from qwenbelt.tools.operation import Operation, OperationCall, OperationResult

_ONLY = " Only works within allowed directories."
_CONTENT = {"content": {"type": "string"}}
_CURSOR = {"cursor": {"type": "string", "description": "Where to go on, if there is more"}}


def _output(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)[:1]}


class _FileArguments(BaseModel):
    model_config = ConfigDict(populate_by_name=True)


class PathArguments(_FileArguments):
    """One path."""

    path: str = Field(description="The file or directory")


class ReadFileArguments(PathArguments):
    """What to read of a text file."""

    tail: int | None = Field(
        None, ge=0, description="If provided, returns only the last N lines of the file"
    )
    head: int | None = Field(
        None, ge=0, description="If provided, returns only the first N lines of the file"
    )
    start_line: int | None = Field(
        None, ge=1, alias="startLine", description="The first line wanted, from 1"
    )
    line_count: int | None = Field(
        None, ge=0, alias="lineCount", description="How many lines from startLine"
    )
    cursor: int = Field(0, ge=0, description="Where to go on, as the last reply said")
    encoding: str | None = Field(None, description="For example gb18030; found out if not provided")


class ReadManyArguments(_FileArguments):
    """Several paths."""

    paths: list[str] = Field(min_length=1, max_length=500, description="The files to read")


class WriteArguments(PathArguments):
    """A file's content."""

    content: str = Field(description="The text")


class EditArguments(_FileArguments):
    """One replacement."""

    old_text: str = Field(
        alias="oldText", description="Text to search for - must match exactly, and once"
    )
    new_text: str = Field(alias="newText", description="Text to replace with")
    replace_all: bool = Field(
        False, alias="replaceAll", description="Replace every occurrence of oldText"
    )


class EditFileArguments(PathArguments):
    """A file's edits."""

    edits: list[EditArguments] = Field(min_length=1, description="Made one after the other")
    dry_run: bool = Field(
        False, alias="dryRun", description="Preview changes using git-style diff format"
    )


class ListArguments(PathArguments):
    """A directory, a page at a time."""

    cursor: str | None = Field(None, description="Where to go on, as the last reply said")


class SizesArguments(PathArguments):
    """A directory and an order."""

    sort_by: Literal["name", "size"] = Field(
        "name", alias="sortBy", description="Sort entries by name or size"
    )


class TreeArguments(ListArguments):
    """A directory, and what to leave out of it."""

    exclude_patterns: list[str] = Field(
        [], alias="excludePatterns", description="Glob patterns of what to leave out"
    )


class FindFilesArguments(TreeArguments):
    """A search by name."""

    pattern: str = Field(description="A glob pattern, relative to path: *.md, **/*.{png,jpg}")


class GrepArguments(TreeArguments):
    """A search in contents."""

    pattern: str = Field(description="A regular expression")
    include: str | None = Field(None, description="Only files like this, for example *.py")
    ignore_case: bool = Field(False, alias="ignoreCase", description="Ignore upper and lower case")
    literal: bool = Field(False, description="Take the pattern as plain text")
    context: int = Field(0, ge=0, le=20, description="Lines to show around each match")
    max_results: int = Field(
        10_000, ge=1, le=100_000, alias="maxResults", description="Lines to return at most"
    )


class MoveArguments(_FileArguments):
    """From where to where."""

    source: str = Field(description="What to move")
    destination: str = Field(description="Where to; must not exist")


def _read(files: Files, given: ReadFileArguments, call: OperationCall) -> OperationResult:
    return files.read(
        given.path,
        call,
        head=given.head,
        tail=given.tail,
        start=given.start_line,
        count=given.line_count,
        cursor=given.cursor,
        encoding=given.encoding,
    )


def _edit(files: Files, given: EditFileArguments, call: OperationCall) -> OperationResult:
    edits = [Edit(e.old_text, e.new_text, e.replace_all) for e in given.edits]
    return files.edit(given.path, edits, call, dry_run=given.dry_run)


def _grep(files: Files, given: GrepArguments, call: OperationCall) -> OperationResult:
    grep = Grep(
        given.pattern,
        ignore_case=given.ignore_case,
        literal=given.literal,
        include=given.include,
        context=given.context,
        limit=given.max_results,
    )
    return files.grep(given.path, grep, call, given.exclude_patterns, given.cursor)


_READ_TEXT = (
    "Read a file as text. Handles various text encodings. Use 'head' or 'tail' for the first or "
    "last N lines, 'startLine' and 'lineCount' for lines in between. A long file comes in parts: "
    "the reply then ends with a cursor to go on with." + _ONLY
)
_TEXT_OUTPUT = _output(
    content={"type": "string"},
    encoding={"type": "string"},
    cursor={"type": "integer", "description": "Where to go on, if there is more"},
)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "read_file",
        "Read File (Deprecated)",
        "Read a file as text. DEPRECATED: Use read_text_file instead.",
        ReadFileArguments,
        _read,
        _TEXT_OUTPUT,
        read_only=True,
    ),
    Operation(
        "read_text_file",
        "Read Text File",
        _READ_TEXT,
        ReadFileArguments,
        _read,
        _TEXT_OUTPUT,
        read_only=True,
    ),
    Operation(
        "read_media_file",
        "Read Media File",
        "Read an image, audio or other binary file. Images and sounds come as such, any other "
        "file as an embedded resource. Large pictures are scaled down." + _ONLY,
        PathArguments,
        lambda files, given, call: files.read_media(given.path, call),
        _output(
            content={"type": "array", "items": {"type": "object"}},
            path={"type": "string"},
            mimeType={"type": "string"},
            size={"type": "integer"},
        ),
        read_only=True,
    ),
    Operation(
        "read_multiple_files",
        "Read Multiple Files",
        "Read several text files at once, each with its path. Failed reads for individual files "
        "do not stop the others." + _ONLY,
        ReadManyArguments,
        lambda files, given, call: files.read_many(given.paths, call),
        _output(**_CONTENT),
        read_only=True,
    ),
    Operation(
        "write_file",
        "Write File",
        "Create a new file or completely overwrite an existing file with new content, as UTF-8. "
        "Use with caution as it will overwrite existing files without warning." + _ONLY,
        WriteArguments,
        lambda files, given, call: files.write(given.path, given.content),
        _output(**_CONTENT),
        idempotent=True,
        destructive=True,
    ),
    Operation(
        "append_file",
        "Append To File",
        "Add text to the end of a file; the file is made if it does not exist." + _ONLY,
        WriteArguments,
        lambda files, given, call: files.append(given.path, given.content),
        _output(**_CONTENT),
    ),
    Operation(
        "edit_file",
        "Edit File",
        "Replace pieces of a text file. Each oldText must occur exactly once, or set replaceAll; "
        "line ends and encoding of the rest stay as they are, and all edits are made or none. "
        "Returns a git-style diff." + _ONLY,
        EditFileArguments,
        _edit,
        _output(**_CONTENT),
        destructive=True,
    ),
    Operation(
        "create_directory",
        "Create Directory",
        "Create a directory and those above it; one that exists already is fine." + _ONLY,
        PathArguments,
        lambda files, given, call: files.make_folder(given.path),
        _output(**_CONTENT),
        idempotent=True,
    ),
    Operation(
        "list_directory",
        "List Directory",
        "List what is in a directory, with [FILE] and [DIR] prefixes." + _ONLY,
        ListArguments,
        lambda files, given, call: files.names(given.path, call, given.cursor),
        _output(**_CONTENT, **_CURSOR),
        read_only=True,
    ),
    Operation(
        "list_directory_with_sizes",
        "List Directory with Sizes",
        "List what is in a directory, with [FILE] and [DIR] prefixes and sizes." + _ONLY,
        SizesArguments,
        lambda files, given, call: files.sizes(given.path, call, given.sort_by),
        _output(**_CONTENT, **_CURSOR),
        read_only=True,
    ),
    Operation(
        "directory_tree",
        "Directory Tree",
        "Get everything below a directory as JSON: each entry has 'name', 'type' "
        "(file/directory), and 'children' for directories. A large tree comes in parts: the "
        "reply then ends with a cursor to go on with." + _ONLY,
        TreeArguments,
        lambda files, given, call: files.tree(
            given.path, call, given.exclude_patterns, given.cursor
        ),
        _output(**_CONTENT, **_CURSOR),
        read_only=True,
    ),
    Operation(
        "move_file",
        "Move File",
        "Move or rename a file or directory. Fails if the destination exists. Both must be "
        "within allowed directories.",
        MoveArguments,
        lambda files, given, call: files.move(given.source, given.destination),
        _output(**_CONTENT),
        destructive=True,
    ),
    Operation(
        "search_files",
        "Search Files",
        "Find files and directories by a glob pattern relative to path: '*.ext' for path itself, "
        "'**/*.ext' for everything below. Returns full paths." + _ONLY,
        FindFilesArguments,
        lambda files, given, call: files.search(
            given.path, given.pattern, call, given.exclude_patterns, given.cursor
        ),
        _output(**_CONTENT, **_CURSOR),
        read_only=True,
    ),
    Operation(
        "grep_files",
        "Search In Files",
        "Find lines in files by a regular expression. Returns path:line: text." + _ONLY,
        GrepArguments,
        _grep,
        _output(**_CONTENT, **_CURSOR),
        read_only=True,
    ),
    Operation(
        "get_file_info",
        "Get File Info",
        "Get the size, times, type and permissions of a file or directory." + _ONLY,
        PathArguments,
        lambda files, given, call: files.info(given.path, call),
        _output(
            **_CONTENT,
            size={"type": "integer"},
            created={"type": "string"},
            modified={"type": "string"},
            accessed={"type": "string"},
            isDirectory={"type": "boolean"},
            isFile={"type": "boolean"},
            permissions={"type": "string"},
        ),
        read_only=True,
    ),
    Operation(
        "list_allowed_directories",
        "List Allowed Directories",
        "List the directories that may be used, with everything below them.",
        NoArguments,
        lambda files, given, call: files.allowed(),
        _output(**_CONTENT),
        read_only=True,
    ),
)
