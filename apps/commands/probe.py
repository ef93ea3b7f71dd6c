"""`qwenbelt probe`: has a model seen these problems before?"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwenbelt.apps.echo import echo
from qwenbelt.core.language import user_language
from qwenbelt.core.terminal import terminal_json
from qwenbelt.core.translation import in_language

if TYPE_CHECKING:
    from qwenbelt.core.language import Language
    from qwenbelt.workflows.probe.job import ProbeScore, WindowProbe


@click.command()
@click.argument("problems", metavar="FILE.jsonl")
@click.option("-e", "--endpoint", metavar="SPEC", help="Model, e.g. dashscope:qwen-plus.")
@click.option("--most", type=click.IntRange(1), help="Test only so many problems, at random.")
@click.option("--control", type=click.IntRange(1), help="Fresh problems; as many by default.")
@click.option("--share", default=0.05, show_default=True, type=click.FloatRange(0.001, 0.9))
@click.option("--seed", type=int, help="For the choice and for the fresh problems.")
@click.option("--in-flight", default=8, show_default=True, type=click.IntRange(1, 64))
@click.option("--out", metavar="FILE.json", help="Write all counts here.")
@click.option("--json", "as_json", is_flag=True, help="Print all counts as JSON.")
def probe(problems: str, **options: Any) -> None:
    """Find out whether a model has seen the problems of FILE.jsonl before.

    A line is {"problem": "…", "answer": "…"}. The model is asked to write the rest of each problem
    from its first 40, 60 and 80 %, and to answer the unfinished problem. Fresh arithmetic problems
    are the control. SHARE of known problems is what counts as seen.
    """
    import random

    from qwenbelt.core.files import write_text
    from qwenbelt.workflows.probe.job import Prober
    from qwenbelt.workflows.probe.problems import fresh_problems, read_problems

    given = read_problems(problems)
    seed = options["seed"]
    if options["most"] and options["most"] < len(given):
        given = random.Random(seed).sample(given, options["most"])
    control = fresh_problems(options["control"] or len(given), seed)
    prober = Prober(options["endpoint"], in_flight=options["in_flight"])
    made = asyncio.run(prober.run(given, control, share=options["share"]))
    table = terminal_json(json.dumps(made.to_dict(), ensure_ascii=False, indent=1))
    if options["out"]:
        write_text(Path(options["out"]), table + "\n")
    if options["as_json"]:
        echo(table)
    else:
        _show(made, user_language())


def _show(probe: WindowProbe, language: Language) -> None:
    from qwenbelt.workflows.probe.strings import say

    names = ("given", "exact", "rouge", "answered")
    for group, scores in (("tested", probe.tested), ("control", probe.control)):
        count = max(score.asked for score in scores.values())
        echo(f"{say(group, language)} ({count})")
        echo("  " + " | ".join(say(name, language) for name in names))
        for share, score in scores.items():
            echo(f"  {share:.0%} | {_row(score)}")
    if probe.skipped:
        echo(say("skipped", language, count=probe.skipped))
    if probe.failed:
        problem = in_language(probe.problem, language)
        echo(say("failed", language, count=probe.failed, error=problem), err=True)
    echo(verdict_line(probe, language))


def _row(score: ProbeScore) -> str:
    rouge = f"{score.rouge / score.asked:.2f}" if score.asked else "-"
    exact = _rate(score.exact, score.asked, score.exact_interval)
    return f"{exact} | {rouge} | {_rate(score.right, score.answered, score.right_interval)}"


def _rate(count: int, total: int, interval: tuple[float, float]) -> str:
    if not total:
        return "-"
    return f"{count}/{total} = {count / total:.1%} ({interval[0]:.1%} - {interval[1]:.1%})"


def verdict_line(probe: WindowProbe, language: Language) -> str:
    """Returns the verdict in words, and how sure it is."""
    from qwenbelt.workflows.probe.job import JUDGED
    from qwenbelt.workflows.probe.strings import say

    score, control = probe.tested[JUDGED], probe.control[JUDGED]
    by_answer = probe.verdict == "answers"
    low, high = score.right_interval if by_answer else score.exact_interval
    fresh = control.exact / control.asked if control.asked else 0.0
    more = ""
    if score.asked < probe.enough:
        more = say("more", language, count=probe.enough)
    return say(
        probe.verdict,
        language,
        low=low,
        high=high,
        given=JUDGED,
        control=fresh,
        guess=probe.guess,
        share=probe.share,
        more=more,
    )
