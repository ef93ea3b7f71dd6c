"""The tools of the sqlite, filesystem and memory servers, in this process and without a model."""

from __future__ import annotations

import sys
from pathlib import Path

from qwenbelt.tools import tool_class


def main(folder: str) -> None:
    files = {"folders": [folder]}
    tool_class("file_write")(files).call({"path": "notes.txt", "content": "one\r\ntwo\r\n"})
    edit = {"path": "notes.txt", "edits": [{"oldText": "two", "newText": "二"}]}
    print(tool_class("file_edit")(files).call(edit))

    graph = {"file": str(Path(folder) / "memory.db")}
    ada = {"name": "Ada", "entityType": "person", "observations": ["喜欢喝茶"]}
    tool_class("memory_create_entities")(graph).call({"entities": [ada]})
    print(tool_class("memory_search")(graph).call({"query": "喝茶"}))

    # a graph is a database too: any SQLite file can be asked, read-only
    query = {"sql": "SELECT name, type FROM entities"}
    print(tool_class("sql_query")({"database": graph["file"]}).call(query))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".")
