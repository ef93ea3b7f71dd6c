"""`qwenbelt eval`: a benchmark, or a set of one's own."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwenbelt.apps.echo import echo
from qwenbelt.core.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE, InputError
from qwenbelt.core.language import user_language
from qwenbelt.core.terminal import terminal_json

if TYPE_CHECKING:
    from qwenbelt.workflows.batch.job import BatchProgress
    from qwenbelt.workflows.evaluation.outcome import EvalOutcome

TEXTS = {
    "progress": ("{done} of {total} attempts", "已完成 {done}/{total} 次"),
    "row": ("{name}: {passed} of {of} pass", "{name}：{of} 个中通过 {passed} 个"),
    "incomplete": ("Not all attempts have ended.", "仍有未结束的尝试。"),
    "below": ("The score is below {least}.", "得分低于 {least}。"),
    "scenarios": (
        "{count} failures saved as scenarios in {folder}",
        "{count} 个失败已存为场景：{folder}",
    ),
    "stopped": (
        "Stopped; the same command goes on where it was.",
        "已停止；再次运行同一命令即可继续。",
    ),
    "need": ("Missing {what}.", "缺少 {what}。"),
}


def _say(key: str, **values: object) -> str:
    return TEXTS[key][user_language() == "zh"].format(**values)


@click.command("eval")
@click.argument("name", required=False, metavar="NAME|FILE.jsonl")
@click.option("-e", "--endpoint", metavar="SPEC", help="Model, e.g. dashscope:qwen-plus.")
@click.option("--out", metavar="DIR", help="Folder for report.json, report.html, the database.")
@click.option("--trials", default=1, show_default=True, type=click.IntRange(1, 100))
@click.option("--limit", type=click.IntRange(1), help="At most so many cases.")
@click.option("--data", metavar="FOLDER", help="The set's data, or the files that it names.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="Only this group of it.")
@click.option("-a", "--agent", default="fncall", metavar="NAME", help="As in `run`, or report.")
@click.option("-t", "--tool", "tools", multiple=True, metavar="NAME", help="A tool, or none.")
@click.option("--tool-format", metavar="FORM", help="native, nous, constrained or react.")
@click.option("--temperature", type=float, default=0.0, show_default=True)
@click.option("--max-tokens", type=click.IntRange(1), help="Of a reply.")
@click.option("--system", metavar="TEXT", help="The system message.")
@click.option("--user", metavar="SPEC", help="Plays tau2's customer; the endpoint by default.")
@click.option("--in-flight", default=8, show_default=True, type=click.IntRange(1, 256))
@click.option("--retry", is_flag=True, help="Try again what failed for the endpoint's sake.")
@click.option("--allow-unsandboxed", is_flag=True, help="Run graders' code without a sandbox.")
@click.option("--check", is_flag=True, help="No model: what must pass and what must not.")
@click.option("--compare", metavar="DIR", help="Compare with an earlier evaluation, in pairs.")
@click.option("--min-score", type=click.FloatRange(0, 1), help="Exit 1 below it.")
@click.option("--to-scenarios", metavar="DIR", help="Save failures as scenarios for tests.")
@click.option("--json", "as_json", is_flag=True, help="Print report.json's content.")
def evaluation(name: str | None, out: str | None, as_json: bool, **options: Any) -> int:
    """Run a benchmark or your own questions, graded by code; goes on where it was.

    A line of FILE.jsonl is {"id", "question", "files"?, "expect": {"exact" | "number" (and
    "tolerance") | "contains" | "schema" | "code" | "judge"}}. Benchmarks: bfcl, acebench, dabench,
    tau2, agentdojo.
    With --compare, and --out of an evaluation that was done, NAME may be left out. Exit 1: below
    --min-score, or worse than --compare by more than chance.
    """
    from qwenbelt.workflows.evaluation.sets import set_of

    if options["check"]:
        if name is None:
            raise click.UsageError(_say("need", what="NAME"))
        return _check_limit(
            set_of(name, options["data"], options["groups"]), options["limit"], as_json
        )
    if out is None:
        raise click.UsageError(_say("need", what="--out DIR"))
    outcome = _evaluated(name, out, options)
    return _show_outcome(outcome, out, as_json, options)


def _evaluated(name: str | None, out: str, options: dict[str, Any]) -> EvalOutcome:
    from qwenbelt.workflows.evaluation.job import EvalSetting, evaluate
    from qwenbelt.workflows.evaluation.outcome import read_outcome
    from qwenbelt.workflows.evaluation.sets import set_of

    if name is None:
        if options["compare"] is None:
            raise click.UsageError(_say("need", what="NAME"))
        return read_outcome(out)
    try:
        set_of(name, options["data"], options["groups"])  # before anything heavy begins
    except InputError as error:
        if Path(name).suffix == ".jsonl" or Path(name).exists():
            raise
        echo(str(error), err=True)
        raise click.exceptions.Exit(EXIT_USAGE) from None
    fields = EvalSetting.__dataclass_fields__
    setting = EvalSetting(**{key: options[key] for key in fields if key in options})
    try:
        return evaluate(name, out, setting, tell=_progress(sys.stderr.isatty()))
    except KeyboardInterrupt:
        echo(_say("stopped"), err=True)
        sys.stderr.flush()
        os._exit(130)  # a thread that waits for the model would hold up the end


def _progress(shown: bool) -> Any:
    def tell(now: BatchProgress) -> None:
        if shown:
            line = _say("progress", done=now.done + now.failed, total=now.total)
            click.echo(f"\r{line}", err=True, nl=False)

    return tell


def _check_limit(found: Any, limit: int | None, as_json: bool) -> int:
    from qwenbelt.workflows.evaluation.job import check_set

    rows = check_set(found, limit)
    if as_json:
        table = {name: {"passed": passed, "of": of} for name, (passed, of) in rows.items()}
        echo(terminal_json(json.dumps({"name": found.name, "check": table})))
    else:
        for name, (passed, of) in rows.items():
            echo(_say("row", name=name, passed=passed, of=of))
    passed, of = rows["oracle"]
    good = passed == of and not rows["no-op"][0] and not rows["adversarial"][0]
    return EXIT_OK if good else EXIT_FAILED


def _show_outcome(outcome: EvalOutcome, out: str, as_json: bool, options: dict[str, Any]) -> int:
    from qwenbelt.workflows.evaluation.comparing import compare_runs

    failed = not outcome.complete
    compared = compare_runs(options["compare"], outcome) if options["compare"] else None
    if compared is not None:
        outcome.write(Path(out), compared)
    if as_json:
        value = outcome.to_dict()
        if compared is not None:
            value["comparison"] = compared.to_dict()
        echo(terminal_json(json.dumps(value, ensure_ascii=False)))
    else:
        echo(outcome.line())
        for name, rows in outcome.groups().items():
            passed = sum(row.passed for row in rows)
            echo("  " + _say("row", name=name, passed=passed, of=len(rows)))
        if compared is not None:
            echo(compared.line())
    if not outcome.complete:
        echo(_say("incomplete"), err=True)
    if options["to_scenarios"]:
        from qwenbelt.workflows.evaluation.failures import save_failures

        count = save_failures(outcome, Path(out), Path(options["to_scenarios"]))
        echo(_say("scenarios", count=count, folder=options["to_scenarios"]), err=True)
    if options["min_score"] is not None and outcome.score < options["min_score"]:
        echo(_say("below", least=options["min_score"]), err=True)
        failed = True
    if compared is not None and compared.verdict == "worse":
        failed = True
    return EXIT_FAILED if failed else EXIT_OK
