"""Prints the first sh block of README.md under a heading that holds the given word."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def main(word: str) -> None:
    heading, block = "", None
    for line in Path("README.md").read_text(encoding="utf-8").splitlines():
        if block is not None:
            if line.startswith("```"):
                print("\n".join(block))
                return
            block.append(line)
        elif line.startswith("#"):
            heading = line
        elif line.startswith("```sh") and re.search(rf"\b{word}", heading):
            block = []
    sys.exit(f"README.md has no sh block under a heading with {word!r}")


main(sys.argv[1])
