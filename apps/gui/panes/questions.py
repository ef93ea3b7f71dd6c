"""Questions of MCP servers to the person, as cards: forms to fill in, and pages to open."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from qwenbelt.apps.gui.strings import PageError, say
from qwenbelt.core.errors import one_line
from qwenbelt.core.language import Language
from qwenbelt.core.terminal import terminal_text
from qwenbelt.tools.mcp.forms import FormField, form_faults, form_fields, form_values

if TYPE_CHECKING:
    from qwenbelt.apps.gui.chat_session import ChatSession

_MOST_FIELDS = 60
_LONGEST_MESSAGE = 4000
_LONGEST_URL = 4000
_INPUTS = {"email": "email", "date": "date"}  # a date-time has its offset, which no input knows


def question_card(event: Mapping[str, Any], card_id: str, language: str) -> str:
    """Returns the card of an open question, with the name of the server that asks."""
    number, server = str(event["request_id"]), _shown(event.get("server", ""), 100)
    head = escape(say("question_of", language, server=server))
    message = escape(_shown(event.get("message", ""), _LONGEST_MESSAGE))
    page = event.get("mode") == "url"
    body = _page_html(str(event.get("url", "")), language) if page else ""
    fields = form_fields(event.get("schema") or {})[:_MOST_FIELDS]
    body += "".join(_field_html(one, f"{card_id}-{n}") for n, one in enumerate(fields))
    note = "" if page else f"<small>{escape(say('question_form', language))}</small>"
    send = escape(say("question_done" if page else "question_send", language))
    decline = escape(say("question_decline", language))
    return (
        f'<form class="qb-question-card" id="{card_id}" data-question="{escape(number)}" '
        f'aria-label="{head}" novalidate><b>{head}</b><p>{message}</p>{body}{note}'
        f'<div class="qb-row"><button type="submit" class="qb-button allow">{send}</button>'
        f'<button type="button" class="qb-button" data-decline="1">{decline}</button></div></form>'
    )


def settled_question(event: Mapping[str, Any], action: str, card_id: str, language: str) -> str:
    """Returns what stays of a question: whose it was, and that it is over."""
    key = {"accept": "question_accept", "decline": "question_declined"}.get(
        action, "question_cancel"
    )
    text = escape(say(key, language, server=_shown(event.get("server", ""), 100)))
    return f'<div class="qb-note" id="{card_id}">{text}</div>'


def app_html(server: str, url: str, part: str, language: str) -> str:
    """Returns the place of a server's page; the script puts it into a sandboxed frame."""
    title = escape(say("app_of", language, server=_shown(server, 100)))
    link = escape(say("app_link", language))
    return (
        f'<section class="qb-app" id="{part}" data-app="{escape(url)}" data-link="{link}" '
        f'aria-label="{title}"><b>{title}</b></section>'
    )


def answer_question(session: ChatSession, body: Mapping[str, Any]) -> dict[str, Any]:
    """Answers a question of the running turn; the first answer of any window holds.

    Returns:
        `{}`, or `{"faults": {field: what is wrong}}` where the values do not fit.

    Raises:
        PageError: the question is over.
    """
    live = session.running(str(body.get("turn") or ""))
    number = str(body.get("question", ""))
    asked = live.questions.get(number) if live is not None else None
    if live is None or asked is None:
        raise PageError("question_over")
    if body.get("action") != "accept":
        live.run.answer(number, None)
        return {}
    given = body.get("values")
    values = form_values(given if isinstance(given, Mapping) else {}, asked.schema)
    language: Language = "zh" if body.get("lang") == "zh" else "en"
    faults = form_faults(values, asked.schema, language)
    if faults:
        return {"faults": faults}
    del live.questions[number]
    live.run.answer(number, values)
    return {}


def _shown(text: object, most: int) -> str:
    """Returns a server's text without what a person cannot see."""
    return terminal_text(str(text))[:most]


def _page_html(url: str, language: str) -> str:
    parts = urlsplit(url) if len(url) <= _LONGEST_URL else urlsplit("")
    address = f"<code>{escape(_shown(url, _LONGEST_URL))}</code>"
    try:
        # letters that look like others are told apart in this form
        host = (parts.hostname or "").encode("idna").decode("ascii")
    except UnicodeError:
        host = ""
    plain = parts.scheme in ("http", "https") and terminal_text(url) == url
    if not plain or not host or parts.username or parts.password:
        return f"<p>{escape(say('question_no_page', language))}</p>{address}"
    told = escape(say("question_page", language, host=host))
    text = escape(say("question_open", language, host=host))
    return (
        f'<p>{told}</p>{address}<div><a class="qb-button" target="_blank" '
        f'rel="noopener noreferrer" href="{escape(url)}">{text}</a></div>'
    )


def _field_html(one: FormField, field_id: str) -> str:
    title = _shown(one.title, 200) + (" *" if one.required else "")
    name, label = escape(one.name), escape(title)
    about = escape(one_line(_shown(one.description, 500)))
    hints = " ".join(filter(None, (about, escape(_bounds(one)))))
    note = f'<small id="{field_id}-h">{hints}</small>' if hints else ""
    fault = f'<span class="qb-fault" data-fault="{name}" role="alert"></span>'
    about_id = f' aria-describedby="{field_id}-h"' if hints else ""
    common = f'data-field="{name}" data-kind="{one.kind}" id="{field_id}"{about_id}'
    if one.kind == "boolean":
        chosen = " checked" if one.default is True else ""
        return (
            f'<div class="qb-field"><label><input type="checkbox" {common}{chosen}> {label}</label>'
            f"{note}{fault}</div>"
        )
    if one.kind == "choices":
        default = one.default if isinstance(one.default, list) else []
        boxes = "".join(
            f'<label><input type="checkbox" data-of="{name}" value="{escape(value)}"'
            f"{' checked' if value in default else ''}> {escape(_shown(text, 200))}</label>"
            for value, text in one.options
        )
        return (
            f'<fieldset class="qb-field" {common}><legend>{label}</legend>{boxes}{note}{fault}'
            "</fieldset>"
        )
    if one.kind == "choice":
        inner = f'<select {common}><option value=""></option>' + "".join(
            f'<option value="{escape(value)}"{" selected" if value == one.default else ""}>'
            f"{escape(_shown(text, 200))}</option>"
            for value, text in one.options
        )
        inner += "</select>"
    else:
        number = one.kind in ("number", "integer")
        kind = "number" if number else _INPUTS.get(one.format, "text")
        step = ' step="any"' if one.kind == "number" else ""
        given = "" if one.default is None else escape(str(one.default))
        inner = (
            f'<input type="{kind}"{step} {common} value="{given}" autocomplete="off" '
            'maxlength="20000">'
        )
    return (
        f'<div class="qb-field"><label for="{field_id}">{label}</label>{inner}{note}{fault}</div>'
    )


def _bounds(one: FormField) -> str:
    shown = [one.format] if one.format and one.format not in _INPUTS else []
    if one.least is not None or one.most is not None:
        low, high = (f"{b:g}" if b is not None else "" for b in (one.least, one.most))
        shown.append(f"({low}…{high})")
    return " ".join(shown)
