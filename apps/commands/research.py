"""`qwenbelt research`: a plan, searchers side by side, and a cited report."""

from __future__ import annotations

from typing import Any

import click

from qwenbelt.apps.commands.report import report_progress, show_report


@click.command()
@click.argument("question")
@click.option("-f", "--file", "files", multiple=True, help="A document; repeatable.")
@click.option("--web", is_flag=True, help="Search the web too; copies of pages are kept in DIR.")
@click.option("--out", required=True, metavar="DIR", help="Folder for the report.")
@click.option("-e", "--endpoint", metavar="SPEC", help="Model, e.g. dashscope:qwen-plus.")
@click.option("--language", type=click.Choice(["en", "zh"]), help="The question's by default.")
@click.option("--password", metavar="TEXT", help="Opens encrypted files.")
@click.option(
    "--questions",
    type=click.IntRange(1, 8),
    default=8,
    show_default=True,
    help="Into how many questions it may be split.",
)
@click.option("--fresh", is_flag=True, help="Begin anew, whatever an earlier start has found.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def research(question: str, files: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Look into a question from several sides; get a report with checked citations.

    A planner splits QUESTION, searchers look its parts up in the documents side by side, and the
    report is written of what they found. Stopped and started again, it goes on where it was.
    `qwenbelt report --verify DIR` checks the report.
    """
    from qwenbelt.agents import endpoint
    from qwenbelt.workflows.research.job import research as look_into

    if not files and not options["web"]:
        raise click.UsageError("Missing option '-f' / '--file', or '--web'.")
    spec = options.pop("endpoint")
    llm = endpoint(spec)
    with report_progress(as_json) as progress:
        result = look_into(
            question,
            files,
            options.pop("out"),
            llm=llm,
            scripted=(spec or "").startswith("scripted:"),
            listener=progress.event,
            tell=progress.tell,
            **options,
        )
    show_report(result, as_json)
