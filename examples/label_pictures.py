"""Labels for pictures by three votes each; doubtful ones go to a review sheet."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from qwenbelt.workflows.inspection import find_sources
from qwenbelt.workflows.labelling import Labeller, LabellingJob, Labels, write_all

LABELS = Labels(labels={"day": "the sky is bright", "night": "the sky is dark"}, votes=3)


def main(out: str, endpoint: str | None, *images: str) -> None:
    folder = Path(out)
    labeller = Labeller(endpoint, LABELS)
    pictures = asyncio.run(LabellingJob(labeller, folder).run(list(find_sources(images))))
    write_all(folder, pictures, LABELS, "en", final={})
    for picture in pictures:
        print(picture.image, *picture.labels, f"{picture.agreement:.0%}", picture.reason)


if __name__ == "__main__":
    if len(sys.argv) <= 3:
        sys.exit("usage: python label_pictures.py OUT ENDPOINT PICTURE...")
    main(*sys.argv[1:])
