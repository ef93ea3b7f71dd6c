"""A tool call as a card: what was asked, its state, and its result."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from html import escape
from pathlib import PurePath
from typing import Any

from qwenbelt.apps.gui.drawing.changes_html import change_html
from qwenbelt.apps.gui.drawing.code_html import code_block
from qwenbelt.apps.gui.drawing.found_passages import HIT
from qwenbelt.apps.gui.drawing.safe_html import (
    RenderContext,
    chart_of,
    citation_button,
    figure_html,
    file_link,
)
from qwenbelt.apps.gui.strings import say
from qwenbelt.apps.strings import duration_text
from qwenbelt.apps.timeline import CallTiming
from qwenbelt.apps.todo_plan import PlanStep, done_of
from qwenbelt.core.errors import one_line
from qwenbelt.core.jsons import loads_bounded

SHOWN_CHARACTERS = 1500
_ICONS = {
    "waiting": "…",
    "asked": "?",
    "running": "",
    "done": "✓",
    "raised": "!",
    "failed": "✗",
    "refused": "⊘",
    "cancelled": "⊘",
    "timeout": "⊘",
}
_PLAN = {"open": "☐", "doing": "▸", "done": "✓"}
SHORT_VALUE = 80
_OUTPUT_LINES = 12  # of what a running call has printed


def card_html(
    call: CallTiming,
    card_id: str,
    around: RenderContext,
    now: float,
    embedded: Collection[str] = (),
) -> str:
    """Returns the card of a call.

    Args:
        call: the call.
        card_id: the element's id; approvals name the call by `data-call`.
        around: what texts in it may refer to.
        now: the time up to which it has run.
        embedded: names of figures that the answer shows itself.
    """
    state = call.state
    summary = (
        f'<span class="qb-icon" aria-hidden="true">{_ICONS[state]}</span>'
        f"{around.tool_html(call.name)} "
        f'<span class="qb-brief">{escape(_brief_arguments(call))}</span>'
        f'<span class="qb-state">{escape(state_text(call, around.language))}</span>'
        f"{_call_time(call, now)}"
    )
    body = _arguments_html(call, around.language) + _outcome_html(call, around)
    opened = " open" if state == "asked" else ""
    return (
        f'<div class="qb-card {state}" id="{card_id}">'
        f'<details id="{card_id}-d"{opened}><summary>{summary}</summary>'
        f'<div class="qb-card-body" id="{card_id}-b">{body}</div></details>'
        f"{_progress_html(call)}{_approval_html(call, around.language)}"
        f"{_figures_html(call, around, embedded)}</div>"
    )


def plan_html(steps: Sequence[PlanStep], panel_id: str, language: str) -> str:
    """Returns the panel of a plan: its steps, and how many are done."""
    rows = "".join(
        f'<li class="{step.state}"><span role="img" '
        f'aria-label="{escape(say(f"plan_{step.state}", language))}">{_PLAN[step.state]}</span> '
        f"{escape(step.text)}</li>"
        for step in steps
    )
    head = f"{escape(say('plan', language))} <small>{done_of(steps)}</small>"
    return (
        f'<section class="qb-plan" id="{panel_id}" aria-label="{escape(say("plan", language))}">'
        f"<b>{head}</b><ol>{rows}</ol></section>"
    )


def state_text(call: CallTiming, language: str) -> str:
    """Returns the word for a call's state; of code that raised, what it raised."""
    if call.state == "raised" and call.error:
        return say("state_raised_error", language, error=call.error)
    return say(f"state_{call.state}", language)


def _brief_arguments(call: CallTiming) -> str:
    values = _argument_values(call.arguments)
    if len(values) == 1:
        return one_line(_value_text(next(iter(values.values()))), 100)
    return one_line(
        ", ".join(f"{name}={_value_text(value)}" for name, value in values.items()), 100
    )


def _value_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _argument_values(arguments: str) -> dict[str, Any]:
    try:
        values = loads_bounded(arguments)
    except ValueError:
        return {"": arguments}
    return values if isinstance(values, dict) else {"": arguments}


def _call_time(call: CallTiming, now: float) -> str:
    if call.started is None:
        return ""
    took = call.seconds(now)
    if call.state == "running":
        return (
            f'<time class="qb-clock" data-elapsed="{took * 1000:.0f}">{duration_text(took)}</time>'
        )
    return f"<time>{duration_text(took)}</time>"


def _arguments_html(call: CallTiming, language: str) -> str:
    short, long = [], []
    for name, value in _argument_values(call.arguments).items():
        label = escape(name or say("arguments", language))
        text = _value_text(value)
        if name == "code" and isinstance(value, str):
            long.append(code_block(value, "python", language))
        elif len(text) <= SHORT_VALUE and "\n" not in text:
            short.append(f"<dt>{label}</dt><dd>{escape(text)}</dd>")
        else:
            shown = _folded_text_html(text, language)
            long.append(f'<p class="qb-label">{label}</p><div class="qb-value">{shown}</div>')
    listed = f'<dl class="qb-arguments">{"".join(short)}</dl>' if short else ""
    return listed + "".join(long)


def _outcome_html(call: CallTiming, around: RenderContext) -> str:
    if call.finished is None:
        return ""
    kind = "result" if call.ok else "error"
    text = "\n".join(str(i["value"]) for i in call.items if i.get("kind") == "text")
    text = text or call.result
    files = "".join(_file_html(path, around) for path in call.artifacts)
    return (
        f'<p class="qb-label">{escape(say(kind, around.language))}</p>'
        f'<div class="qb-value qb-{kind}">{_folded_text_html(text, around.language, around)}</div>'
        f'<div class="qb-files">{files}</div>'
    )


def _folded_text_html(text: str, language: str, around: RenderContext | None = None) -> str:
    """Returns a text; the end of a long one is folded."""
    if len(text) <= SHOWN_CHARACTERS * 1.3:
        return f'<pre tabindex="0">{_text_with_passage_links(text, around)}</pre>'
    cut = text.rfind("\n", SHOWN_CHARACTERS // 2, SHOWN_CHARACTERS) + 1 or SHOWN_CHARACTERS
    label = say("whole_result", language, size=f"{len(text) / 1000:.0f} k")
    return (
        f'<pre tabindex="0">{_text_with_passage_links(text[:cut], around)}</pre>'
        f"<details><summary>{escape(label)}</summary>"
        f'<pre tabindex="0">{_text_with_passage_links(text[cut:], around)}</pre></details>'
    )


def _text_with_passage_links(text: str, around: RenderContext | None) -> str:
    """Returns the text escaped, with found passages (`[1] file.pdf p.3`) as buttons."""
    if around is None:
        return escape(text)
    out, at = "", 0
    for match in HIT.finditer(text):
        number, file, page = match.groups()
        if around.has_document(file):
            out += escape(text[at : match.start()])
            out += citation_button(file, int(page), f"{number} {file} p.{page}")
            at = match.end()
    return out + escape(text[at:])


def _file_html(path: str, around: RenderContext) -> str:
    name = PurePath(path).name
    url = around.file_url(name)
    return file_link(name, url, around.language) if url else ""


def _progress_html(call: CallTiming) -> str:
    if call.state != "running" or (call.fraction is None and not call.progress):
        return ""
    if call.output:
        shown = "\n".join(call.output.rstrip().splitlines()[-_OUTPUT_LINES:])
        return f'<pre class="qb-progress qb-output">{escape(shown)}</pre>'
    text = escape(one_line(call.progress, 200))
    if call.fraction is None:
        return f'<div class="qb-progress">{text}</div>'
    share = max(0.0, min(1.0, call.fraction))
    label = escape(call.name)
    return (
        f'<div class="qb-progress"><progress aria-label="{label}" value="{share:.3f}"></progress> '
        f"{text}</div>"
    )


def _approval_html(call: CallTiming, language: str) -> str:
    if call.state != "asked":
        return ""
    step = [("step", say("allow_step", language, name=call.name))] if call.parent else []
    buttons = (
        ("allow", say("allow", language)),
        *step,
        ("always", say("allow_always", language, name=call.name)),
        ("refuse", say("refuse", language)),
    )
    inner = "".join(
        f'<button type="button" class="qb-button {answer}" data-approve="{answer}" '
        f'data-call="{escape(call.call_id)}" data-tool="{escape(call.name)}">'
        f"{escape(text)}</button>"
        for answer, text in buttons
    )
    question = escape(say("ask", language))
    change = change_html(call.name, call.arguments)
    return (
        f'{change}<div class="qb-approval" role="group" aria-label="{question}">'
        f"{question} {inner}</div>"
    )


def _figures_html(call: CallTiming, around: RenderContext, embedded: Collection[str]) -> str:
    shown = []
    for item in call.items:
        name = PurePath(str(item.get("value", ""))).name
        if item.get("kind") == "image" and name not in embedded:
            url = around.file_url(name)
            label = escape(say("picture", around.language, name=name))
            if url:
                shown.append(figure_html(url, label, chart_of(around, name)))
    return f'<div class="qb-figures">{"".join(shown)}</div>' if shown else ""
