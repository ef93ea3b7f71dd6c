"""A trace as one HTML page: the question, what its answer took and why, lanes, messages, costs.

Nothing outside the page is loaded and nothing in it runs: the style is inside, the pictures that
are beside the trace too, and a content security policy forbids the rest.
"""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from qwenbelt.apps.export import message_text
from qwenbelt.apps.gui.drawing.code_html import diagram_drawer
from qwenbelt.apps.gui.drawing.safe_html import RenderContext, markdown_html
from qwenbelt.apps.gui.drawing.turn_view import TurnView
from qwenbelt.apps.gui.panes.lanes_html import lanes_html
from qwenbelt.apps.gui.panes.turn_times import turn_times
from qwenbelt.apps.gui.strings import say
from qwenbelt.apps.strings import duration_text
from qwenbelt.apps.timeline import ModelCall, Timeline
from qwenbelt.core.errors import one_line

Records = Sequence[Mapping[str, Any]]
_LONGEST_QUESTION = 300  # characters of it in the heading
MAX_PICTURE_BYTES = 4 * 1024 * 1024
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def trace_page(
    records: Records,
    title: str,
    language: str,
    folder: Path,
    other: tuple[Records, str] | None = None,
) -> str:
    """Returns the page.

    Args:
        records: the lines of a trace.
        title: names it, for example by the file.
        language: "en" or "zh".
        folder: where pictures of the trace may be: there, or in `figures` below it.
        other: the lines and the title of another trace to compare with.

    Raises:
        KeyError, TypeError, ValueError: an event is not as events are.
    """
    around = RenderContext(
        language, lambda name: _picture_data_url(folder, name), diagram=diagram_drawer()
    )
    gui, own = files("qwenbelt.apps.gui"), files("qwenbelt.apps")
    style = gui.joinpath("static/chat.css").read_text(encoding="utf-8")
    # the chat is dark by a class that a script sets; here the reader's setting decides
    night = re.search(r"\.dark\.dark (\{[^}]*\})", style)
    style += f"@media (prefers-color-scheme: dark) {{ :root {night[1]} }}" if night else ""
    style += own.joinpath("trace_page.css").read_text(encoding="utf-8")
    parts = _events_by_run(records)
    runs = "".join(_run_html(part, f"run{number}", around) for number, part in enumerate(parts, 1))
    if other is not None:
        runs = _compared_html((records, title), other, language) + runs
        runs += f"<h1>{escape(other[1])}</h1>" + "".join(
            _run_html(part, f"other{number}", around)
            for number, part in enumerate(_events_by_run(other[0]), 1)
        )
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head>"
        f'<body><div class="gradio-container"><p class="trace-file">{escape(title)}</p>{runs}</div>'
        "</body></html>\n"
    )


def _compared_html(one: tuple[Records, str], two: tuple[Records, str], language: str) -> str:
    """Returns the figures of two traces side by side."""
    first, second = (turn_times(records, language)["facts"] for records, _ in (one, two))
    heads = [f"{say('first_run', language)}: {one[1]}", f"{say('second_run', language)}: {two[1]}"]
    rows = "".join(
        f"<tr>{_table_cells('td', [name, value, second[name]])}</tr>"
        for name, value in first.items()
    )
    return (
        f'<section class="trace-compared"><h2>{escape(say("compared", language))}</h2>'
        f'<div class="qb-table"><table><thead><tr>{_table_cells("th", ["", *heads])}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
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
    given = began.get("messages") or ()
    before = _given_messages_html(given, replace(around, prefix=f"{element}-q"))
    asked = next((message_text(m) for m in reversed(given) if m["role"] == "user"), "")
    # a click on a lane goes into the body of its card, which makes browsers open the card
    links = {call.call_id: f"{element}-c{n}-b" for n, call in enumerate(timeline.calls)}
    times = turn_times(records, language)
    return (
        f'<section class="trace-run"><h1>{escape(_question_of(asked) or who)}</h1>'
        f'<p class="trace-who">{escape(who)}</p>'
        f'<p class="trace-words">{escape(times["words"])}</p>{_tiles_html(times["facts"])}'
        f"{lanes_html(timeline, None, language, links)}"
        f'<p class="trace-path">{escape(times["path"])}</p>'
        f"<details><summary>{escape(say('reply_costs', language))}</summary>"
        f"{_costs_html(timeline, language)}</details><h2>{escape(say('messages', language))}</h2>"
        f"{before}"
        f'<div class="qb-answer">{view.html()}</div></section>'
    )


def _question_of(text: str) -> str:
    """Returns the question of a message: the last paragraph where documents stand before it."""
    if len(text) <= _LONGEST_QUESTION:
        return text
    last = text.strip().rsplit("\n\n", 1)[-1]
    return one_line(last if len(last) <= _LONGEST_QUESTION else text, _LONGEST_QUESTION)


def _tiles_html(facts: Mapping[str, str]) -> str:
    tiles = "".join(
        f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>"
        for name, value in facts.items()
    )
    return f'<div class="trace-tiles">{tiles}</div>'


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
