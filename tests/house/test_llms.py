"""`docs/llms.txt` names pages that are there, by their titles."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_it_names_pages_that_are_there() -> None:
    rows = re.findall(r"(?m)^- \[(.+?)\]\((.+?)\)$", (DOCS / "llms.txt").read_text("utf-8"))
    assert len(rows) > 30
    for title, name in rows:
        assert f"# {title}" in (DOCS / name).read_text("utf-8").replace("`", "")
