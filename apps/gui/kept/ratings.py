"""What people thought of answers: thumbs with a note, kept and exported as preference data."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.kept.store import ChatStore, ChatTurn
from qwenbelt.apps.gui.strings import PageError

RATINGS = "ratings"  # what a conversation keeps them under
_LONGEST_NOTE = 2000
Rating = dict[str, Any]


def ratings_of(store: ChatStore, session: str) -> dict[str, Rating]:
    """Returns the ratings of a conversation by the ids of the turns."""
    kept = store.kept(session, RATINGS)
    return dict(kept) if isinstance(kept, dict) else {}


def rate(store: ChatStore, session: ChatSession, turn: ChatTurn, value: Any, note: Any) -> None:
    """Keeps what a person thought of an answer; 0 takes it back.

    Raises:
        PageError: the value is none of -1, 0 and 1.
    """
    if value not in (-1, 0, 1) or isinstance(value, bool):
        raise PageError("no_rating")
    known = ratings_of(store, session.row.id)
    if value:
        text = str(note or "").strip()[:_LONGEST_NOTE]
        known[turn.id] = {"value": value, "note": text, "time": time.time()}
    else:
        known.pop(turn.id, None)
    store.keep(session.row.id, RATINGS, known)
    session.ratings = known
    session.revision += 1
    session.notify()


def preference_lines(store: ChatStore, user: str) -> Iterable[str]:
    """Yields a user's ratings as JSON lines.

    One line an answer: `prompt` (the messages before it), `completion`, `label` (whether it was
    liked), `note`, `model`; and one line a pair of answers to the same question of which one was
    liked and the other was not: `prompt`, `chosen`, `rejected`. Trainers of preferences read these
    forms.
    """
    for row in store.sessions(user, limit=100_000):
        ratings = ratings_of(store, row.id)
        if not ratings:
            continue
        turns = {turn.id: turn for turn in store.turns(row.id)}
        rated = [turns[name] for name in ratings if name in turns]
        for turn in rated:
            told = ratings[turn.id]
            yield _line(
                prompt=_prompt(turn, turns),
                completion=[_said(turn)],
                label=told["value"] > 0,
                note=told["note"],
                model=_model(turn),
            )
        for good in rated:
            for bad in rated:
                same = (good.parent, good.question) == (bad.parent, bad.question)
                if same and ratings[good.id]["value"] > 0 > ratings[bad.id]["value"]:
                    yield _line(
                        prompt=_prompt(good, turns), chosen=[_said(good)], rejected=[_said(bad)]
                    )


def _line(**told: Any) -> str:
    return json.dumps(told, ensure_ascii=False) + "\n"


def _said(turn: ChatTurn) -> dict[str, str]:
    return {"role": "assistant", "content": turn.answer}


def _prompt(turn: ChatTurn, turns: dict[str, ChatTurn]) -> list[dict[str, str]]:
    out: list[dict[str, str]] = [{"role": "user", "content": turn.question}]
    before = turns.get(turn.parent or "")
    while before is not None:
        out = [{"role": "user", "content": before.question}, _said(before), *out]
        before = turns.get(before.parent or "")
    return out


def _model(turn: ChatTurn) -> str:
    names = (str(r.get("model") or "") for r in turn.events if r.get("event") == "run_started")
    return next(filter(None, names), "")
