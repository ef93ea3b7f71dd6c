"""A model reads every page of documents for a question; its quotes are looked up on their pages."""

from __future__ import annotations

import sys
from typing import Any

from qwenbelt.agents import endpoint
from qwenbelt.workflows.longdoc import ask_everything


def main(question: str, *files: str, llm: dict[str, Any] | None = None) -> None:
    answer = ask_everything(
        question,
        files,
        llm or endpoint(),
        budget=200_000,  # tokens; what it does not allow is named
        progress=lambda done, parts: print(f"{done} of {parts} parts", file=sys.stderr),
    )
    print(answer.text)
    for found in answer.findings:
        mark = "stands on" if found.verified else "is NOT on"
        print(f"“{found.quote}” {mark} {found.file} p. {found.page}")
    if answer.left_out:
        print("Not read:", *(f"{file} p. {page}" for file, page in answer.left_out))


if __name__ == "__main__":
    if len(sys.argv) <= 2:
        sys.exit("usage: python read_all_pages.py QUESTION FILE...")
    main(*sys.argv[1:])
