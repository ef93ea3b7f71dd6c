"""A trace as one HTML page: lanes, messages, costs.

Nothing outside the page is loaded and nothing in it runs: the style is inside, the pictures that
are beside the trace too, and a content security policy forbids the rest.
"""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from qwenbelt.apps.export import message_text
from qwenbelt.apps.gui.panes.lanes_html import lanes_html
from qwenbelt.apps.gui.safe_html import RenderContext, markdown_html
from qwenbelt.apps.gui.strings import say
from qwenbelt.apps.gui.turn_view import TurnView
from qwenbelt.apps.strings import duration_text
from qwenbelt.apps.timeline import ModelCall, Timeline

Records = Sequence[Mapping[str, Any]]
MAX_PICTURE_BYTES = 4 * 1024 * 1024
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = """
body { margin: 0 auto; max-width: 62rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif;
  color: var(--qb-text); }
.trace-run { margin-bottom: 3rem; }
.trace-run h2, .trace-run h3 { margin: 1.2rem 0 0.4rem; }
.trace-run th + th, .trace-run td + td { text-align: right !important;
  font-variant-numeric: tabular-nums; }
.trace-system { white-space: pre-wrap; overflow-wrap: anywhere; color: var(--qb-dim); }
.qb-copy, .qb-ways-out { display: none; }
.qb-enlarge { cursor: default; }
"""


def trace_page(records: Records, title: str, language: str, folder: Path) -> str:
    """Returns the page.

    Args:
        records: the lines of a trace.
        title: names it, for example by the file.
        language: "en" or "zh".
        folder: where pictures of the trace may be: there, or in `figures` below it.

    Raises:
        KeyError, TypeError, ValueError: an event is not as events are.
    """
    around = RenderContext(language, lambda name: _picture_data_url(folder, name))
    style = files("qwenbelt.apps.gui").joinpath("chat.css").read_text(encoding="utf-8")
    runs = "".join(
        _run_html(part, f"run{number}", around)
        for number, part in enumerate(_events_by_run(records), 1)
    )
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}{_STYLE}</style></head>"
        f'<body><div class="gradio-container"><h1>{escape(title)}</h1>{runs}</div></body></html>\n'
    )


def _events_by_run(records: Records) -> list[list[Mapping[str, Any]]]:
    """Returns the events of each run; a chat's trace holds several."""
    parts: list[list[Mapping[str, Any]]] = [[]]
    for record in records:
        if record["event"] == "run_started" and parts[-1]:
            parts.append([])
        parts[-1].append(record)
    return parts


def _run_html(records: Records, element: str, around: RenderContext) -> str:
    language = around.language
    began = next((row for row in records if row["event"] == "run_started"), {})
    timeline = Timeline(records)
    view = TurnView(element, around, live=False)
    for record in records:
        view.feed(record)
    view.flush(timeline.span()[1])
    who = f"{began.get('agent', '')} · {began.get('model', '')}".strip(" ·")
    given = _given_messages_html(
        began.get("messages") or (), replace(around, prefix=f"{element}-q")
    )
    return (
        f'<section class="trace-run"><h2>{escape(who)}</h2>{lanes_html(timeline, None, language)}'
        f"{_costs_html(timeline, language)}<h3>{escape(say('messages', language))}</h3>"
        f"{given}"
        f'<div class="qb-answer">{view.html()}</div></section>'
    )


def _costs_html(timeline: Timeline, language: str) -> str:
    heads = ("reply", "took", "first_token", "tokens_in", "tokens_out")
    into, out = timeline.tokens
    begin, end = timeline.span()
    rows = [_model_numbers(model) for model in timeline.models]
    rows.append([say("total", language), duration_text(end - begin), "", str(into), str(out)])
    titles = [say(head, language) for head in heads]
    if timeline.cost:
        titles.append(timeline.currency)
        costs = [*(model.cost for model in timeline.models), timeline.cost]
        rows = [[*row, f"{cost:.4f}"] for row, cost in zip(rows, costs, strict=True)]
    body = "".join(f"<tr>{_table_cells('td', row)}</tr>" for row in rows)
    return (
        f'<div class="qb-table"><table><thead><tr>{_table_cells("th", titles)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _model_numbers(model: ModelCall) -> list[str]:
    took = [
        duration_text(moment - model.started) if moment is not None else ""
        for moment in (model.finished, model.first_token)
    ]
    return [str(model.turn), *took, str(model.input_tokens), str(model.output_tokens)]


def _table_cells(kind: str, values: Iterable[str]) -> str:
    return "".join(f"<{kind}>{escape(value)}</{kind}>" for value in values)


def _given_messages_html(messages: Sequence[Mapping[str, Any]], around: RenderContext) -> str:
    """Returns what the run was given: the system message folded, the conversation as bubbles."""
    parts = []
    for number, message in enumerate(messages):
        text = message_text(message)
        here = replace(around, prefix=f"{around.prefix}{number}")
        if message["role"] == "user":
            inner = f'<div class="qb-bubble"><div class="qb-question-text">{escape(text)}</div>'
            parts.append(f'<div class="qb-question">{inner}</div></div>')
        elif message["role"] == "assistant":
            parts.append(f'<div class="qb-text">{markdown_html(text, here)}</div>')
        else:
            name = message.get("name") or say("system", around.language)
            parts.append(
                f"<details><summary>{escape(str(name))}</summary>"
                f'<div class="trace-system">{escape(text)}</div></details>'
            )
    return "".join(parts)


def _picture_data_url(folder: Path, name: str) -> str | None:
    """Returns a picture beside the trace as a data URL; other names lead nowhere."""
    bare = name.replace("\\", "/").rsplit("/", 1)[-1]
    if not bare.lower().endswith(_PICTURES):
        return None
    for path in (folder / bare, folder / "figures" / bare):
        if path.is_file() and path.stat().st_size <= MAX_PICTURE_BYTES:
            kind = mimetypes.guess_type(bare)[0]
            return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    return None
