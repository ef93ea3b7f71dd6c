"""A turn around its answer: the question, its versions, and what can be done with it."""

from __future__ import annotations

from datetime import datetime, timezone
from html import escape

from qwenbelt.agents.answers.question import file_kind
from qwenbelt.apps.gui.drawing.safe_html import RenderContext, file_link
from qwenbelt.apps.gui.hub import ChatSession
from qwenbelt.apps.gui.kept.store import ChatTurn
from qwenbelt.apps.gui.strings import say

# strokes of a 24 x 24 picture
_SIGNS = {
    "edit": "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
    "retry": "M20 11a8 8 0 1 0-2 6M20 4v7h-7",
    "branch": "M6 4v16M6 14c0-5 12-1 12-8M18 3v4M15 6l3-3 3 3",
    "undo": "M9 7l-5 5 5 5M4 12h10a6 6 0 0 1 6 6",
    "copy_answer": "M9 9h11v11H9zM5 15H4V4h11v1",
    "copy_question": "M9 9h11v11H9zM5 15H4V4h11v1",
    "like": "M7 11v9H4v-9zM7 11l4-8q3 0 3 3v4h5q2 0 2 3l-2 6q0 1-2 1H7",
    "dislike": "M7 13V4H4v9zM7 13l4 8q3 0 3-3v-4h5q2 0 2-3l-2-6q0-1-2-1H7",
    "versions": "M4 5h7v14H4zM13 5h7v14h-7z",
    "previous": "M15 5l-7 7 7 7",
    "next": "M9 5l7 7-7 7",
}


def article_id(turn: ChatTurn) -> str:
    """Returns the id of a turn's element."""
    return f"turn-{turn.id}"


def article_html(session: ChatSession, turn: ChatTurn, answer: str, around: RenderContext) -> str:
    """Returns a whole turn.

    Args:
        session: its conversation.
        turn: the turn.
        answer: the HTML of the answer so far.
        around: what its texts may refer to.
    """
    element = article_id(turn)
    return (
        f'<article class="qb-turn" id="{element}">{question_html(session, turn, around)}'
        f'<span class="qb-sr">{escape(say("answered", around.language))}</span>'
        f'<div class="qb-answer" id="{element}-a">{answer}</div>'
        f"{actions_html(session, turn, around.language)}</article>"
    )


def question_html(session: ChatSession, turn: ChatTurn, around: RenderContext) -> str:
    """Returns the question with its files and versions."""
    element = f"{article_id(turn)}-q"
    files = "".join(_attached_file(name, around) for name in turn.files)
    edit = _action_button("edit", turn, around.language)
    copy = _action_button("copy_question", turn, around.language)
    speaker = escape(say("you_asked", around.language))
    return (
        f'<div class="qb-question" id="{element}"><div class="qb-bubble">'
        f'<span class="qb-sr">{speaker} </span>'
        f'<div class="qb-question-text">{escape(turn.question)}</div>'
        f'<div class="qb-files">{files}</div></div>'
        f'<div class="qb-tools">{_time_html(turn)}'
        f"{_version_switch(session, turn, around.language)}{copy}{edit}</div></div>"
    )


def actions_html(session: ChatSession, turn: ChatTurn, language: str) -> str:
    """Returns the buttons below an answer; none while an answer is coming."""
    buttons = ""
    if session.live is None:
        path = session.path()
        buttons = "".join(
            _action_button(action, turn, language) for action in ("retry", "branch", "copy_answer")
        )
        value = (session.ratings.get(turn.id) or {}).get("value", 0)
        buttons += _action_button("like", turn, language, pressed=value > 0)
        buttons += _action_button("dislike", turn, language, pressed=value < 0)
        if len(session.siblings(turn)) > 1:
            buttons += _action_button("versions", turn, language)
        if path and path[-1].id == turn.id:
            buttons += _action_button("undo", turn, language)
    return f'<div class="qb-tools qb-actions" id="{article_id(turn)}-b">{buttons}</div>'


def _time_html(turn: ChatTurn) -> str:
    """Returns when it was asked; the page writes it in the time of the person's place."""
    when = datetime.fromtimestamp(turn.created, timezone.utc)
    stamp = when.isoformat(timespec="seconds")
    return f'<time class="qb-time" datetime="{stamp}">{when:%Y-%m-%d %H:%M} UTC</time>'


def _action_button(
    action: str, turn: ChatTurn, language: str, shown: str = "", *, pressed: bool | None = None
) -> str:
    label = escape(say(action, language))
    state = "" if pressed is None else f' aria-pressed="{str(pressed).lower()}"'
    name, target = ("show", shown) if shown else (action, turn.id)
    return (
        f'<button type="button" class="qb-small" data-action="{name}" data-turn="{target}" '
        f'title="{label}" aria-label="{label}"{state}><svg class="qb-sign" viewBox="0 0 24 24" '
        f'aria-hidden="true"><path d="{_SIGNS[action]}"/></svg></button>'
    )


def _version_switch(session: ChatSession, turn: ChatTurn, language: str) -> str:
    same = session.siblings(turn)
    if len(same) < 2:
        return ""
    at = same.index(turn.id)
    label = escape(say("version", language, number=at + 1, count=len(same)))
    before = _action_button("previous", turn, language, same[at - 1]) if at else ""
    after = _action_button("next", turn, language, same[at + 1]) if at + 1 < len(same) else ""
    place = f'<span class="qb-version" aria-label="{label}">{at + 1}/{len(same)}</span>'
    return f"{before}{place}{after}"


def _attached_file(name: str, around: RenderContext) -> str:
    url = around.file_url(name)
    if url is None:
        return f'<span class="qb-file">{escape(name)}</span>'
    if file_kind(name) == "image":
        label = escape(say("picture", around.language, name=name))
        return f'<img class="qb-thumb" src="{escape(url)}" alt="{label}">'
    if around.has_document(name) and name.lower().endswith(".pdf"):
        return (
            f'<button type="button" class="qb-file qb-cite" data-file="{escape(name)}" '
            f'data-page="1">{escape(name)}</button>'
        )
    return file_link(name, url, around.language)
