"""The process that runs the queries: one at a time, so that ending it ends the query.

SQLite looks at its clock between two steps of its machine, but a single function such as instr()
or trim() on long texts can keep one step busy for hours. So statements run here, and
`qwenbelt.tools.sqlite.pool` ends the process when one does not stop by itself. Its memory is
limited too.

Requests and replies are JSON, one a line: `{"do": method, "with": {arguments}}` and
`{"ok": result}` or `{"error": class, "message": text}`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import QwenbeltError
from qwenbelt.tools.sqlite.engine import Database

MEMORY_BYTES = 1 << 30
METHODS = ("query", "change", "tables", "columns", "describe", "schema")


def answer(database: Database, request: dict[str, Any]) -> dict[str, Any]:
    """Does what a request asks."""
    if request["do"] not in METHODS:
        raise ValueError(request["do"])
    try:
        found = getattr(database, request["do"])(**request["with"])
    except QwenbeltError as error:
        return {"error": type(error).__name__, "message": error.message, "fix": error.fix}
    except MemoryError:
        return {"error": "ToolError", "message": "The query needs too much memory."}
    if request["do"] == "query":
        return {"ok": dataclasses.asdict(found)}
    if request["do"] == "change":
        return {"ok": [found[0], dataclasses.asdict(found[1])]}
    return {"ok": found}


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(path: str, write: str, seconds: str) -> None:
    """Serves requests on standard input until it ends."""
    _limit_memory()
    replies = sys.stdout.buffer
    try:
        database = Database(Path(path), write=write == "write", seconds=float(seconds))
        first: dict[str, Any] = {"ok": True}
    except QwenbeltError as error:
        first = {"error": type(error).__name__, "message": error.message, "fix": error.fix}
    replies.write(json.dumps(first).encode() + b"\n")
    replies.flush()
    if "error" in first:
        return
    for line in sys.stdin.buffer:
        reply = answer(database, json.loads(line))
        replies.write(json.dumps(reply, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        replies.flush()


if __name__ == "__main__":
    main(*sys.argv[1:4])
