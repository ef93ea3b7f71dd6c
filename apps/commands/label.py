"""`qwenbelt label`: labels for pictures."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import click

from qwenbelt.apps.echo import echo
from qwenbelt.core.errors import EXIT_FAILED
from qwenbelt.core.language import user_language
from qwenbelt.core.terminal import terminal_json
from qwenbelt.core.translation import in_language


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE|FOLDER|URL...")
@click.option("--labels", "labels_path", required=True, metavar="FILE.yaml", help="The labels.")
@click.option("--out", default="labels", show_default=True, metavar="DIR", help="For the results.")
@click.option("-e", "--endpoint", metavar="SPEC", help="Vision model, e.g. ollama:qwen3-vl:8b.")
@click.option("--votes", type=click.IntRange(1, 25), help="Answers a picture; else the file's.")
@click.option("--ocr/--no-ocr", default=None, help="Tell the model the text that OCR finds.")
@click.option("--lang", type=click.Choice(["en", "zh"]), help="Language of prompt and sheet.")
@click.option("--in-flight", default=8, show_default=True, type=click.IntRange(1, 64))
@click.option("--allow-private-urls", is_flag=True, help="Fetch from private addresses too.")
@click.option("--fresh", is_flag=True, help="Forget an earlier, unfinished run.")
@click.option("--json", "as_json", is_flag=True, help="Print the labels as JSON.")
def label(images: tuple[str, ...], out: str, **options: Any) -> None:
    """Label pictures by a vision model's vote; doubtful ones go to a review sheet.

    Writes labels.jsonl, labels.csv, review.html, review.csv and train.jsonl into DIR. A run that
    was stopped goes on where it was. What a person writes into the column `final` of review.csv
    goes into the training data when the same command is run again.
    """
    from qwenbelt.core.files import output_folder
    from qwenbelt.workflows.inspection.sources import find_sources
    from qwenbelt.workflows.labelling.asking import Labeller
    from qwenbelt.workflows.labelling.export import read_review, write_all
    from qwenbelt.workflows.labelling.job import LabellingJob
    from qwenbelt.workflows.labelling.labels import load_labels
    from qwenbelt.workflows.labelling.strings import say

    language = options["lang"] or user_language()
    labels = load_labels(options["labels_path"])
    chosen = {name: options[name] for name in ("votes", "ocr") if options[name] is not None}
    labels = labels.model_copy(update=chosen)
    folder = output_folder(Path(out))
    if options["fresh"]:
        (folder / "done.jsonl").unlink(missing_ok=True)
    final = read_review(folder, labels)
    sources = list(find_sources(images))
    labeller = Labeller(options["endpoint"], labels, language=language)
    private = True if options["allow_private_urls"] else None
    job = LabellingJob(labeller, folder, in_flight=options["in_flight"], allow_private=private)
    pictures = asyncio.run(job.run(sources))
    write_all(folder, pictures, labels, language, final)
    failed = [p for p in pictures if not p.ok]
    doubtful = [p for p in pictures if p.ok and p.doubtful]
    if options["as_json"]:
        echo(terminal_json(json.dumps([p.to_dict() for p in pictures], ensure_ascii=False)))
    else:
        counts = {"doubtful": len(doubtful), "failed": len(failed)}
        sure = len(pictures) - len(doubtful) - len(failed)
        echo(say("summary", language, total=len(pictures), sure=sure, **counts))
        voted = [p.agreement for p in pictures if p.ok]
        if labels.votes > 1 and voted:
            echo(say("mean", language, share=sum(voted) / len(voted)))
        echo(str(folder))
    for picture in failed[:20]:
        echo(f"  {picture.image}: {in_language(picture.error, language)}", err=True)
    if len(failed) == len(pictures):
        sys.exit(EXIT_FAILED)
