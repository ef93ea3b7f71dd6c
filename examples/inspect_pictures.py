"""A safety inspection of pictures: a vision model finds fire, smoke and heads without a helmet."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from qwenbelt.workflows.inspection import (
    InspectionJob,
    Inspector,
    find_sources,
    load_rules,
    write_pdf,
)


def main(out: str, endpoint: str | None, *images: str) -> None:
    rules = load_rules(None)  # or a YAML file with classes of your own
    job = InspectionJob(Inspector(endpoint, rules), Path(out))
    done = asyncio.run(job.run(list(find_sources(images))))
    for picture in done.pictures:
        found = [f"{each.label} at {each.bbox}" for each in picture.objects]
        print(picture.image, *found or [picture.error or "nothing"])
    write_pdf(Path(out, "report.pdf"), done, rules, "en", None)


if __name__ == "__main__":
    if len(sys.argv) <= 3:
        sys.exit("usage: python inspect_pictures.py OUT ENDPOINT PICTURE...")
    main(*sys.argv[1:])
