"""`qwenbelt inspect`: safety inspection of pictures and videos."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwenbelt.apps.echo import echo
from qwenbelt.core.errors import EXIT_FAILED
from qwenbelt.core.language import user_language
from qwenbelt.core.translation import in_language

if TYPE_CHECKING:
    from qwenbelt.core.language import Language
    from qwenbelt.workflows.inspection.job import Inspection
    from qwenbelt.workflows.inspection.rules import Inspected


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE|FOLDER|VIDEO|URL...")
@click.option("--out", required=True, metavar="REPORT.pdf", help="The report.")
@click.option("--json", "json_path", metavar="FILE", help="Also write the results as JSON here.")
@click.option("-e", "--endpoint", metavar="SPEC", help="Vision model, e.g. ollama:qwen3-vl:8b.")
@click.option("--rules", "rules_path", metavar="FILE.yaml", help="Inspect for other things.")
@click.option(
    "--coordinates",
    type=click.Choice(["resized", "thousand", "unit", "original"]),
    help="What the model's numbers mean; by its family when not given.",
)
@click.option("--lang", type=click.Choice(["en", "zh"]), help="Language of prompt and report.")
@click.option("--in-flight", default=8, show_default=True, type=click.IntRange(1, 64))
@click.option("--fps", default=1.0, show_default=True, help="Frames a second of videos.")
@click.option("--second-look", is_flag=True, help="Enlarge doubtful objects and ask again.")
@click.option("--truth", metavar="FILE|FOLDER", help="Ground truth (COCO or VOC): evaluate.")
@click.option("--allow-private-urls", is_flag=True, help="Fetch from private addresses too.")
@click.option("--fresh", is_flag=True, help="Forget an earlier, unfinished run.")
def inspect(images: tuple[str, ...], out: str, **options: Any) -> None:
    """Find fire, smoke and persons without a helmet; write a report.

    A run that was stopped goes on where it was when it is started again with the same --out; so
    does one that qwenbelt review has checked: the report then shows what the person decided.
    """
    from qwenbelt.core.files import output_folder
    from qwenbelt.workflows.inspection.asking import Inspector
    from qwenbelt.workflows.inspection.job import InspectionJob
    from qwenbelt.workflows.inspection.rules import load_rules
    from qwenbelt.workflows.inspection.sources import find_sources
    from qwenbelt.workflows.reviewing.opening import keep_for_review, reviewed_inspection

    language = options["lang"] or user_language()
    rules = load_rules(options["rules_path"])
    target = Path(out)
    output_folder(target.parent)
    folder = target.with_name(target.stem + "_files")
    if options["fresh"]:
        (folder / "done.jsonl").unlink(missing_ok=True)
    sources = list(find_sources(images, options["fps"]))
    inspector = Inspector(
        options["endpoint"],
        rules,
        language=language,
        convention=options["coordinates"],
        second_look=options["second_look"],
    )
    private = True if options["allow_private_urls"] else None
    job = InspectionJob(inspector, folder, in_flight=options["in_flight"], allow_private=private)
    with _Bar(len(sources)) as tell:
        done = asyncio.run(job.run(sources, tell))
    keep_for_review(folder, done.pictures, rules)
    done, options["checked"] = reviewed_inspection(done, rules, language)
    _write(done, target, options, rules, language)
    failed = _summary(done, language)
    if failed == len(done.pictures):
        sys.exit(EXIT_FAILED)


def _write(done: Inspection, target: Path, options: dict[str, Any], rules: Any, lang: Any) -> None:
    from qwenbelt.workflows.inspection import report
    from qwenbelt.workflows.inspection.evaluation import load_truth, match_findings
    from qwenbelt.workflows.inspection.strings import say

    truth = options["truth"]
    evaluation = match_findings(done.pictures, load_truth(truth)) if truth else None
    volumes = report.write_pdf(target, done, rules, lang, evaluation, checked=options["checked"])
    page = target.with_suffix(".html")
    report.write_html(page, done, rules, lang, evaluation, checked=options["checked"])
    report.write_csv(target.with_suffix(".csv"), done.pictures)
    report.write_json(target.with_suffix(".json"), done.pictures)
    report.write_contact_sheets(target.with_name(target.stem + "-sheet.jpg"), done)
    if options["json_path"]:
        report.write_json(Path(options["json_path"]), done.pictures)
    for label, score in sorted(evaluation.scores.items()) if evaluation else ():
        shares = (score.precision, score.recall)
        precision, recall = ("-" if s is None else f"{s:.3f}" for s in shares)
        text = say("score", lang, name=label, precision=precision, recall=recall)
        echo(text)
    echo("\n".join(map(str, [*volumes, page])))
    echo(options["checked"] or say("review", lang, path=volumes[0]))


def _summary(done: Inspection, language: Language) -> int:
    from qwenbelt.workflows.inspection.strings import say

    failed = [picture for picture in done.pictures if not picture.ok]
    objects = sum(len(picture.objects) for picture in done.pictures)
    counts = {"pictures": len(done.pictures), "objects": objects, "failed": len(failed)}
    echo(say("summary", language, **counts))
    for picture in failed[:20]:
        echo(f"  {picture.image}: {in_language(picture.error, language)}", err=True)
    return len(failed)


class _Bar:
    """A bar in a terminal, nothing when piped."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._bar: Any = None

    def __enter__(self) -> Callable[[Inspected], None] | None:
        if not sys.stderr.isatty():
            return None
        from rich.console import Console
        from rich.progress import Progress

        self._bar = Progress(console=Console(stderr=True))
        self._bar.start()
        task = self._bar.add_task("inspect", total=self._total)
        return lambda found: self._bar.advance(task)

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()
