"""`qwenbelt review`: a person's decisions on what a vision model found."""

from __future__ import annotations

import json
import sys

import click

from qwenbelt.apps.echo import echo
from qwenbelt.core.language import user_language
from qwenbelt.core.terminal import terminal_json


@click.command()
@click.argument("target", metavar="REPORT.pdf|DIR", type=click.Path())
@click.option("--terminal", is_flag=True, help="Review by keys here, without a browser.")
@click.option("--port", default=0, show_default=True, help="The port; 0 takes a free one.")
@click.option("--open/--no-open", "browse", default=True, help="Open it in the browser.")
@click.option("--lang", type=click.Choice(["en", "zh"]), help="Language of the review.")
@click.option("--json", "as_json", is_flag=True, help="Only print the agreement figures, as JSON.")
def review(
    target: str, terminal: bool, port: int, browse: bool, lang: str | None, as_json: bool
) -> None:
    """Confirm, correct or reject what a vision model found, and draw what it missed.

    REPORT.pdf is a report of qwenbelt inspect, DIR a folder of qwenbelt label. Decisions are kept
    in review.csv at once; the same inspect or label command, run again, takes them up.
    """
    from qwenbelt.apps.review.server import serve_review
    from qwenbelt.apps.review.terminal import TerminalReview
    from qwenbelt.workflows.reviewing import InspectionReview, open_review
    from qwenbelt.workflows.reviewing.strings import counts_text, figures_text, say

    language = user_language() if lang is None else "zh" if lang == "zh" else "en"
    opened = open_review(target)
    if as_json:
        done = sum(opened.item(number)["done"] for number in range(len(opened)))
        found = {"kind": opened.kind, "pictures": len(opened), "done": done}
        echo(terminal_json(json.dumps({**found, **opened.agreement().to_dict()}, indent=2)))
        return
    if not len(opened):
        echo(say("nothing", language))
        return

    def ready(url: str) -> None:
        echo(say("serving", language, url=url))
        if browse and sys.stdout.isatty():
            click.launch(url)

    if terminal:
        TerminalReview(opened, language).run()
    else:
        serve_review(opened, language, port, ready)
    agreement, boxes = opened.agreement(), isinstance(opened, InspectionReview)
    echo(counts_text(agreement, language))
    echo(figures_text(agreement, language, boxes=boxes))
    echo(say("written", language, path=opened.path))
