"""`qwenbelt report` and `qwenbelt demo`."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from qwenbelt.agents.kinds import SEARCHING_KINDS
from qwenbelt.apps.agent_choice import with_run_options
from qwenbelt.apps.echo import echo
from qwenbelt.core.errors import EXIT_FAILED, InputError
from qwenbelt.core.language import user_language
from qwenbelt.core.terminal import terminal_json

if TYPE_CHECKING:
    from qwenbelt.apps.report_progress import ReportProgressView
    from qwenbelt.workflows.report.job import ReportResult

TEXTS = {
    "unsandboxed": (
        "No sandbox is available here: code runs with your own rights (allowed).",
        "此处没有沙箱：代码将以您的权限运行（已允许）。",
    ),
    "sandboxed": ("Code runs in a sandbox ({level}).", "代码在沙箱中运行（{level}）。"),
    "no_code": (
        "The code interpreter is off: there is no sandbox here. --allow-unsandboxed lets the "
        "model's code run with your rights.",
        "代码解释器未启用：此处没有沙箱。可用 --allow-unsandboxed 允许模型代码以您的权限运行。",
    ),
    "extractive": (
        "No model endpoint: the report quotes the best passages as they stand.",
        "没有模型端点：报告将原样引用最相关的段落。",
    ),
    "answered": ("{model} answers.", "由 {model} 回答。"),
    "summary": (
        "{verified} of {citations} citations stand on their pages; {figures} figures; {calls} "
        "tool calls, up to {parallel} side by side; {seconds:.1f} s.",
        "{citations} 条引文中有 {verified} 条已在原页核实；{figures} 张图；{calls} 次工具调用，"
        "最多 {parallel} 个并行；{seconds:.1f} 秒。",
    ),
    "extracted": (
        "{verified} of {citations} citations stand on their pages; {figures} figures; "
        "{seconds:.1f} s.",
        "{citations} 条引文中有 {verified} 条已在原页核实；{figures} 张图；{seconds:.1f} 秒。",
    ),
    "checked": (
        "{verified} of {citations} citations stand on the pages that they name.",
        "{citations} 条引文中有 {verified} 条确在所引页面上。",
    ),
    "need_files": ("Name one or more files.", "请给出一个或多个文件。"),
    "need_ask": ("Say what to find out with --ask.", "请用 --ask 说明要问什么。"),
    "need_out": ("Say where to write with --out.", "请用 --out 指定输出目录。"),
    "scripted_demo": (
        "No model answers here: the replies were written in advance, while every tool runs for "
        "real on the bundled PDF.",
        "此处没有模型作答：回复是预先写好的，所有工具均在内置 PDF 上真实运行。",
    ),
    "real_demo": (
        "{model} answers; every tool runs for real on the bundled PDF.",
        "由 {model} 作答；所有工具均在内置 PDF 上真实运行。",
    ),
    "next": (
        "Try next:\n"
        '  qwenbelt report YOUR.pdf --ask "What changed most?" --out report\n'
        "  qwenbelt trace show {folder}/trace.jsonl\n"
        "  qwenbelt chat -f YOUR.pdf",
        "接下来可以试试：\n"
        '  qwenbelt report 您的文件.pdf --ask "变化最大的是什么？" --out report\n'
        "  qwenbelt trace show {folder}/trace.jsonl\n"
        "  qwenbelt chat -f 您的文件.pdf",
    ),
    "demo_question": ("Question: {question}", "问题：{question}"),
}


def _say(key: str, **values: object) -> str:
    return TEXTS[key][user_language() == "zh"].format(**values)


@click.command()
@click.argument("files", nargs=-1, type=click.Path())
@click.option("--ask", metavar="QUESTION", help="What the report should answer.")
@click.option("--out", metavar="DIR", help="Folder for the report.")
@click.option("-e", "--endpoint", metavar="SPEC", help="Model, e.g. dashscope:qwen-plus.")
@click.option(
    "--agent", type=click.Choice(SEARCHING_KINDS), default="fncall", help="How it decides."
)
@with_run_options
@click.option("--extractive", is_flag=True, help="Without a model, even where there is one.")
@click.option("--password", metavar="TEXT", help="Opens encrypted files.")
@click.option("--language", type=click.Choice(["en", "zh"]), help="The question's by default.")
@click.option("--template", metavar="FILE.typ", help="A Typst file of your own for the PDF.")
@click.option("--allow-unsandboxed", is_flag=True, help="Run model code without a sandbox.")
@click.option(
    "--durable", is_flag=True, help="Keep the run: the same command goes on where it was ended."
)
@click.option("--verify", metavar="DIR", help="Check the citations of a finished report instead.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def report(verify: str | None, as_json: bool, files: tuple[str, ...], **options: Any) -> None:
    """Ask about your files; get a report with checked citations and figures.

    Writes report.pdf, report.html, report.md, report.docx (with the extra docx), citations.json,
    figures/, crops/ and, with a model, trace.jsonl into DIR.
    Without a model endpoint the report quotes the best passages as they stand.

    With --verify DIR nothing is written: every quoted text is looked up on the page that it cites;
    FILES name the documents when they are not where they were.
    """
    if verify is not None:
        _verify(verify, files, options["password"], as_json)
        return
    if not files:
        raise click.UsageError(_say("need_files"))
    if not options["ask"]:
        raise click.UsageError(_say("need_ask"))
    if not options["out"]:
        raise click.UsageError(_say("need_out"))
    _report(files, as_json, **options)


def _report(files: tuple[str, ...], as_json: bool, **options: Any) -> None:
    from qwenbelt.core.errors import NoEndpointError
    from qwenbelt.core.limits import input_file

    for file in files:  # before an endpoint is looked for or anything heavy is imported
        if len(files) == 1:
            input_file(file)
    llm = None
    if not options["extractive"]:
        from qwenbelt.agents import endpoint

        with contextlib.suppress(NoEndpointError):
            form = options["tool_format"]
            llm = endpoint(options["endpoint"], **({"tool_format": form} if form else {}))
    quiet = as_json
    if llm is None:
        _tell(_say("extractive"), quiet)
    else:
        _tell(_say("answered", model=llm["model"]), quiet)
        _tell_about_code(options["allow_unsandboxed"], quiet)
    with report_progress(quiet) as progress:
        from qwenbelt.workflows.report.job import report as make_report

        result = make_report(
            files,
            options["ask"],
            options["out"],
            llm=llm,
            agent=options["agent"],
            extractive=llm is None,
            scripted=(options["endpoint"] or "").startswith("scripted:"),
            language=options["language"],
            password=options["password"],
            template=options["template"],
            allow_unsandboxed=options["allow_unsandboxed"],
            durable=options["durable"],
            max_seconds=options["max_seconds"],
            max_tokens=options["max_tokens"],
            listener=progress.event,
            tell=progress.tell,
        )
    show_report(result, as_json)


def _tell_about_code(allowed: bool, quiet: bool) -> None:
    from qwenbelt.tools.code_interpreter import isolation_level
    from qwenbelt.workflows.report.agentic import can_run_code

    level = isolation_level()
    if level != "none":
        _tell(_say("sandboxed", level=level), quiet)
    else:
        _tell(_say("unsandboxed" if can_run_code(allowed) else "no_code"), quiet)


def _tell(line: str, quiet: bool) -> None:
    if not quiet:
        echo(line)


@contextlib.contextmanager
def report_progress(quiet: bool) -> Iterator[ReportProgressView]:
    """Shows how far a report is, at a terminal."""
    from qwenbelt.apps.report_progress import ReportProgressView

    with ReportProgressView(shown=not quiet and sys.stderr.isatty()) as progress:
        yield progress


def show_report(result: ReportResult, as_json: bool) -> None:
    """Prints the outcome of a report; exits 1 when its pages do not support it."""
    made = result.document.made
    facts = {
        "citations": len(result.document.citations),
        "verified": result.verified,
        "figures": len(list((result.folder / "figures").glob("*.png"))),
        "calls": len(result.document.steps),
        "parallel": made.side_by_side,
        "seconds": round(made.seconds, 2),
    }
    if as_json:
        paths = {"folder": str(result.folder), "pdf": str(result.pdf), "md": str(result.markdown)}
        paths |= {"html": str(result.html), "docx": str(result.docx or "")}
        known: dict[str, Any] = {
            "model": made.model,
            "scripted": made.scripted,
            "notes": result.document.notes,
        }
        known["grounded"] = result.document.grounded
        known["disagreements"] = [one.to_dict() for one in result.document.disagreements]
        echo(terminal_json(json.dumps({**paths, **known, **facts}, ensure_ascii=False, indent=2)))
    else:
        _show_lines(result, facts)
    if not result.document.grounded:
        raise click.exceptions.Exit(EXIT_FAILED)  # what was asked for is not there


def _show_lines(result: ReportResult, facts: dict[str, Any]) -> None:
    for note in result.document.notes:
        echo(f"- {note}")
    echo(_say("summary" if result.document.made.model else "extracted", **facts))
    for path in (result.markdown, result.html, result.docx, result.pdf):
        if path is not None:
            echo(str(path))


def _verify(folder: str, files: tuple[str, ...], password: str | None, as_json: bool) -> None:
    from qwenbelt.workflows.report.checking import check_report

    check = check_report(folder, files, password=password)
    if as_json:
        known = {"citations": check.citations, "verified": check.verified}
        found = {**known, "ok": check.ok, "problems": check.problems}
        echo(terminal_json(json.dumps(found, ensure_ascii=False, indent=2)))
    else:
        for problem in check.problems:
            echo(problem)
        echo(_say("checked", citations=check.citations, verified=check.verified))
    if not check.ok:
        raise click.exceptions.Exit(EXIT_FAILED)


@click.command()
@click.option("--out", required=True, metavar="DIR", help="Folder for the report.")
@click.option("-e", "--endpoint", metavar="SPEC", help="Model; one that is found by default.")
@click.option("--scripted", is_flag=True, help="Written replies, even where there is a model.")
@click.option("--ask", metavar="QUESTION", help="Another question (needs a model).")
@click.option(
    "--agent", type=click.Choice(SEARCHING_KINDS), default="fncall", help="How it decides."
)
@click.option("--language", type=click.Choice(["en", "zh"]), help="Of question and report.")
@click.option("--allow-unsandboxed", is_flag=True, help="Run model code without a sandbox.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def demo(as_json: bool, scripted: bool, **options: Any) -> None:
    """Do the main job on a bundled PDF; needs no key and no server.

    Where a model endpoint is configured or found, it answers. Otherwise the model's replies were
    written in advance, while every tool runs for real; the first line says which.
    """
    from qwenbelt.core.errors import NoEndpointError
    from qwenbelt.workflows.demo import job

    llm = None
    if not scripted:
        from qwenbelt.agents import endpoint

        with contextlib.suppress(NoEndpointError):
            llm = endpoint(options["endpoint"])
    if llm is None and options["ask"]:
        raise InputError("--ask needs a model.", fix="Give an endpoint with -e.")
    language = options["language"] or user_language()
    question = options["ask"] or job.demo_question(language)
    quiet = as_json
    if llm is None:
        _tell(_say("scripted_demo"), quiet)
        _tell_about_code(True, quiet)
    else:
        _tell(_say("real_demo", model=llm["model"]), quiet)
        _tell_about_code(options["allow_unsandboxed"], quiet)
    _tell(_say("demo_question", question=question), quiet)
    with report_progress(quiet) as progress:
        result = job.demo(
            options["out"],
            llm=llm,
            ask=question,
            agent=options["agent"],
            language=language,
            allow_unsandboxed=options["allow_unsandboxed"],
            listener=progress.event,
            tell=progress.tell,
        )
    show_report(result, as_json)
    if not as_json:
        echo("\n" + _say("next", folder=shlex.quote(options["out"])))
