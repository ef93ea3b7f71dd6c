"""Documents in one index, searched by words and, with the `embed` extra, by meaning too."""

from __future__ import annotations

import sys
from pathlib import Path

from qwenbelt.tools.documents import DocumentIndex, render_page


def main(out: str, question: str, *files: str, vectors: str | None = None) -> None:
    # vectors="offline" needs the embed extra; "dashscope:text-embedding-v4" an API key.
    # The place may also be "postgresql://..." or "qdrant:http://localhost:6333".
    with DocumentIndex(Path(out, "documents.db"), vectors=vectors) as index:
        for added in index.add(files):
            print(added.file, added.state, added.error)
        for number, hit in enumerate(index.search(question, 3), 1):
            print(f"[{number}] {hit.file} p. {hit.page}: {hit.quote}")
            if hit.box is not None:  # the page as a picture, the quote highlighted
                picture = render_page(hit.path, hit.page, boxes=[hit.box])
                Path(out, f"hit{number}.png").write_bytes(picture)


if __name__ == "__main__":
    if len(sys.argv) <= 3:
        sys.exit("usage: python search_by_meaning.py OUT QUESTION FILE...")
    main(*sys.argv[1:])
