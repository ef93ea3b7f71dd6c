"""What all output formats state about a report: its facts, its banner and its method."""

from __future__ import annotations

from qwenbelt.core.errors import one_line
from qwenbelt.workflows.report.document import ReportDocument
from qwenbelt.workflows.report.grounded import problems
from qwenbelt.workflows.report.record import DRAWING_TOOLS
from qwenbelt.workflows.report.strings import say


def facts(report: ReportDocument) -> list[tuple[str, str]]:
    """Returns names and values that are below the title."""
    language = report.language
    rows = []
    if report.title and report.title != report.question:
        rows.append((say("question", language), one_line(report.question, 600)))
    names = [f"{file.name} ({say('pages', language, count=file.pages)})" for file in report.files]
    rows.append((say("documents", language), "; ".join(names)))
    rows.append((say("date", language), report.date.isoformat()))
    rows.append((say("model", language), report.made.model or say("no_model", language)))
    return rows


def banner(report: ReportDocument) -> str:
    """Returns what must be said before anything else, or an empty text."""
    if report.made.model is None:
        return say("extractive_banner", report.language)
    if not report.grounded:
        problem = " ".join(problems(report.checks, report.language)[:2])
        return say("not_grounded_banner", report.language, model=report.made.model, problem=problem)
    return say("scripted_banner", report.language) if report.made.scripted else ""


def method(report: ReportDocument) -> str:
    """Returns how the report was made, in a few sentences."""
    made, language = report.made, report.language
    seconds = f"{made.seconds:.1f}"
    if made.model is None:
        return say("method_extractive", language, seconds=seconds)
    text = say(
        "method_model",
        language,
        model=made.model,
        agent=made.agent,
        models=made.model_calls,
        calls=len(report.steps),
        parallel=made.side_by_side,
        seconds=seconds,
    )
    if not report.grounded:
        return f"{text} {say('method_not_grounded', language)}"
    if any(step.ok and step.name in DRAWING_TOOLS for step in report.steps):
        text += " " + say("method_tools", language)
    if report.citations:
        text += " " + say("method_cited", language)
    if made.scripted:
        text += " " + say("method_scripted", language)
    return text
