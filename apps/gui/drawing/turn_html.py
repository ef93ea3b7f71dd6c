"""A turn around its answer: the question, its versions, and what can be done with it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from html import escape

from qwenbelt.agents.answers.question import file_kind
from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.drawing.safe_html import RenderContext, file_link
from qwenbelt.apps.gui.kept.store import ChatTurn
from qwenbelt.apps.gui.pairs import AnswerPair, model_told
from qwenbelt.apps.gui.strings import say

# strokes of a 24 x 24 picture
_SIGNS = {
    "edit": "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
    "retry": "M20 11a8 8 0 1 0-2 6M20 4v7h-7",
    "branch": "M6 4v16M6 14c0-5 12-1 12-8M18 3v4M15 6l3-3 3 3",
    "undo": "M9 7l-5 5 5 5M4 12h10a6 6 0 0 1 6 6",
    "copy_answer": "M9 9h11v11H9zM5 15H4V4h11v1",
    "copy_question": "M9 9h11v11H9zM5 15H4V4h11v1",
    "speak": "M4 9v6h4l5 4V5L8 9zM16 9q2 3 0 6M18.5 6.5q4 5.500 0 11",
    "like": "M7 11v9H4v-9zM7 11l4-8q3 0 3 3v4h5q2 0 2 3l-2 6q0 1-2 1H7",
    "dislike": "M7 13V4H4v9zM7 13l4 8q3 0 3-3v-4h5q2 0 2-3l-2-6q0-1-2-1H7",
    "versions": "M4 5h7v14H4zM13 5h7v14h-7z",
    "previous": "M15 5l-7 7 7 7",
    "next": "M9 5l7 7-7 7",
}


def article_id(turn: ChatTurn) -> str:
    """Returns the id of a turn's element."""
    return f"turn-{turn.id}"


def answers_of(session: ChatSession, turn: ChatTurn) -> list[ChatTurn]:
    """Returns the turns whose answers are shown below a question: one, or two of a pair."""
    pair = session.pairs.of(turn.id)
    names = [turn.id] if pair is None else [pair.first, pair.second]
    return [session.turns[name] for name in names if name in session.turns]


def article_html(
    session: ChatSession, turn: ChatTurn, answers: Mapping[str, str], around: RenderContext
) -> str:
    """Returns a whole turn.

    Args:
        session: its conversation.
        turn: the turn.
        answers: the HTML of the answers so far, by the turns of `answers_of`.
        around: what its texts may refer to.
    """
    element, language = article_id(turn), around.language
    inner = {
        name: f'<div class="qb-answer" id="turn-{name}-a">{html}</div>'
        for name, html in answers.items()
    }
    pair = session.pairs.of(turn.id)
    shown = inner[turn.id]
    if pair is not None and not pair.kept:
        columns = "".join(
            f'<section class="qb-pair-column" data-answer="{name}" '
            f'aria-label="{escape(_model_name(session, pair, name, language))}">'
            f"{pair_head_html(session, name, language)}{html}</section>"
            for name, html in inner.items()
        )
        shown = f'<div class="qb-pair-box"><div class="qb-pair">{columns}</div></div>'
    elif pair is not None:
        shown += "".join(
            f'<details class="qb-pair-other" id="{element}-other" data-answer="{name}"><summary>'
            f"{_other_label(session, pair, name, language)}</summary>"
            f"{pair_head_html(session, name, language)}{html}</details>"
            for name, html in inner.items()
            if name != turn.id
        )
    return (
        f'<article class="qb-turn" id="{element}">{question_html(session, turn, around)}'
        f'<span class="qb-sr">{escape(say("answered", language))}</span>{shown}'
        f"{actions_html(session, turn, language)}</article>"
    )


def pair_head_html(session: ChatSession, turn: str, language: str) -> str:
    """Returns what stands over one of two answers: its model, its state, and the choice of it."""
    pair, live = session.pairs.of(turn), session.running(turn)
    if pair is None:
        return ""
    name = _model_name(session, pair, turn, language)
    clock = ""
    if live is not None:
        elapsed = max(0.0, time.time() - live.turn.created) * 1000
        clock = f'<time class="qb-clock" data-elapsed="{elapsed:.0f}"></time>'
    off = ""
    if turn == pair.second and pair.off:
        off = say("pair_off", language, names=", ".join(pair.off))
        off = f'<p class="qb-note">{escape(off)}</p>'
    label = escape(say("pair_keep", language, name=name))
    return (
        f'<div class="qb-pair-head" id="turn-{turn}-h"><strong>{escape(name)}</strong> {clock}'
        f'<button type="button" class="qb-button" data-action="go_on_with" data-turn="{turn}" '
        f'aria-label="{label}">{escape(say("pair_keep_short", language))}</button>{off}</div>'
    )


def _other_label(session: ChatSession, pair: AnswerPair, turn: str, language: str) -> str:
    name = _model_name(session, pair, turn, language)
    return escape(say("pair_other", language, name=name))


def _model_name(session: ChatSession, pair: AnswerPair, turn: str, language: str) -> str:
    live = session.running(turn)
    known = pair.model_of(turn)
    if not known and turn in session.turns:
        known = model_told(session.turns[turn], live.records if live is not None else ())
    return known or say("pair_model", language, number=1 + (turn == pair.second))


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
            _action_button(action, turn, language)
            for action in ("retry", "branch", "copy_answer", "speak")
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
