"""Writes the tables of docs/sizes.md, in both languages, from the figures of the benchmarks.

    python benchmarks/stores.py DATA --chunks 100000 --json stores.json
    python benchmarks/load.py --workers 1 2 4 --seconds 10 --json load.json
    python benchmarks/sizes_tables.py --stores stores.json --load load.json --machine "2 cores"

A table stands between `<!-- figures: NAME -->` and `<!-- end -->`; one without a file stays.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

PAGES = {"en": "docs/sizes.md", "zh": "docs/zh/sizes.md"}
ROOT = Path(__file__).resolve().parents[1]
# the columns that are shown: in the file, in English, in Chinese
STORES = (
    ("place", "place", "存储"),
    ("chunks", "passages", "段落"),
    ("MB", "MB", "MB"),
    ("add s", "s to add", "添加秒数"),
    ("p50 ms", "p50 ms", "p50 毫秒"),
    ("p95 ms", "p95 ms", "p95 毫秒"),
    ("CPU-ms here", "CPU-ms here", "本进程 CPU 毫秒"),
    ("CPU-ms server", "CPU-ms in the database", "数据库 CPU 毫秒"),
    ("nDCG@10", "nDCG@10", "nDCG@10"),
    ("hit@10", "hit@10", "hit@10"),
)
LOAD = (
    ("workers", "processes", "进程数"),
    ("streams", "streams at once", "同时流式"),
    ("open", "conversations open", "打开的对话"),
    ("ok", "answers", "回答"),
    ("lost or mixed", "lost or mixed", "丢失或混淆"),
    ("p50 ms", "p50 ms added", "增加 p50 毫秒"),
    ("p95 ms", "p95 ms added", "增加 p95 毫秒"),
    ("CPU-ms a message", "CPU-ms a message", "每条消息 CPU 毫秒"),
    ("MB more a conversation", "MB a conversation", "每个对话 MB"),
    ("open files", "open files of a process", "单进程打开的文件"),
    ("cores of the server", "cores of the server", "服务器占用核数"),
    ("cores of all", "cores of all", "整机占用核数"),
)


def table(rows: list[dict[str, object]], columns: tuple[tuple[str, str, str], ...], at: int) -> str:
    """Returns the rows as Markdown."""
    lines = [f"| {' | '.join(column[at] for column in columns)} |", "|---" * len(columns) + "|"]
    for row in rows:
        values = [row.get(column[0], "-") for column in columns]
        told = [
            f"{value:.4f}" if "@" in column[0] and isinstance(value, float) else _short(value)
            for column, value in zip(columns, values, strict=True)
        ]
        lines.append(f"| {' | '.join(told)} |")
    return "\n".join(lines)


def _short(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def main() -> None:
    """Writes the tables into the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stores", type=Path)
    parser.add_argument("--load", type=Path)
    parser.add_argument("--machine", default="", help="what is said above the tables")
    given = parser.parse_args()
    for at, page in enumerate(PAGES.values(), 1):
        path = ROOT / page
        text = path.read_text(encoding="utf-8")
        for name, file, columns in (("stores", given.stores, STORES), ("load", given.load, LOAD)):
            if file is None:
                continue
            rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            head = f"{given.machine}{':' if at == 1 else '：'}\n\n" if given.machine else ""
            body = f"<!-- figures: {name} -->\n{head}{table(rows, columns, at)}\n<!-- end -->"
            between = re.compile(rf"<!-- figures: {name} -->.*?<!-- end -->", re.DOTALL)
            text, count = between.subn(lambda _, body=body: body, text)
            if count != 1:
                raise SystemExit(f"{page}: has no place for {name}")
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
