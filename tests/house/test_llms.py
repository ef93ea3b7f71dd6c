"""`docs/llms.txt` names every page of the documentation, by its title, and no other."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_it_names_every_page_and_no_other() -> None:
    listed = dict(
        re.findall(r"^- \[(.+?)\]\((.+?)\)$", (DOCS / "llms.txt").read_text("utf-8"), re.M)
    )
    titles = {
        re.search(r"(?m)^# (.+)$", page.read_text("utf-8"))[1].replace("`", ""): page.name  # type: ignore[index]
        for page in DOCS.glob("*.md")
    }
    assert listed == titles
