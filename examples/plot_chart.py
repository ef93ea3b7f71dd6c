"""Draws a chart with the tool `plot`; needs no agent and no model."""

from __future__ import annotations

import sys
from pathlib import Path

from qwenbelt import Plot, ToolContext
from qwenbelt.tools import result_items

TABLE = """quarter,2022,2023
Q1,104,121
Q2,110,118
Q3,98,131
Q4,120,140
"""


def main(folder: str) -> None:
    result = Plot().call(
        {
            "kind": "bar",
            "title": "Revenue by quarter 各季度收入",
            "csv": TABLE,
            "unit": "USD million",
        },
        context=ToolContext(folder=Path(folder)),
    )
    for item in result_items(result):
        print(item.kind, item.value)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "out")
