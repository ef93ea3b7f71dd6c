"""Conversations out of the chat and into it: Markdown, JSON, a scenario for tests."""

from __future__ import annotations

import json
from typing import Any

from qwenbelt.apps.export import as_markdown
from qwenbelt.apps.gui.hub import Session
from qwenbelt.apps.gui.store import SessionRow, Store, Turn
from qwenbelt.core.errors import InputError

FORMAT = "qwenbelt-conversation"


def export(session: Session, form: str) -> tuple[str, str, str]:
    """Returns a conversation as text, its media type and a file name.

    Args:
        session: the conversation.
        form: "md", "json" (can be imported again) or "scenario" (can be run as a test).

    Raises:
        InputError: there is no such form, or nothing was said yet.
    """
    path = session.path()
    if not path:
        raise InputError("Nothing was said in this conversation yet.")
    if form == "md":
        messages = [message for turn in path for message in turn.messages]
        return as_markdown(messages), "text/markdown; charset=utf-8", "conversation.md"
    if form == "json":
        body = {"format": FORMAT, "title": session.row.title, "turns": [_as_dict(t) for t in path]}
        text = json.dumps(body, ensure_ascii=False, indent=1)
        return text, "application/json", "conversation.json"
    if form == "scenario":
        return _scenario(path), "application/yaml", "conversation.scenario.yaml"
    raise InputError(f"There is no form {form!r}; there are md, json and scenario.")


def _as_dict(turn: Turn) -> dict[str, Any]:
    names = ("question", "files", "messages", "events", "answer")
    return {name: getattr(turn, name) for name in names}


def _scenario(path: list[Turn]) -> str:
    from qwenbelt.testing import Trajectory, scenario_text

    records = [record for turn in path[:1] for record in turn.events]
    return str(scenario_text(Trajectory.from_records(records)))


def imported(store: Store, user: str, body: dict[str, Any]) -> SessionRow:
    """Makes a conversation from what `export` gave as "json".

    Raises:
        InputError: it is something else.
    """
    if body.get("format") != FORMAT or not isinstance(body.get("turns"), list):
        raise InputError("This is no conversation that was exported as JSON.")
    turns = [_checked(entry) for entry in body["turns"]]
    row = store.new_session(user, str(body.get("title", ""))[:200])
    parent = None
    for number, turn in enumerate(turns):
        turn.session, turn.parent = row.id, parent
        turn.created += number / 1000  # keeps the order
        store.save_turn(turn)
        parent = turn.id
    store.show_leaf(row.id, parent)
    return row


def _checked(entry: Any) -> Turn:
    wrong = InputError("A turn in this file is not as it should be.")
    if not isinstance(entry, dict) or not isinstance(entry.get("question"), str):
        raise wrong
    lists = {name: entry.get(name, []) for name in ("files", "messages", "events")}
    if not all(isinstance(value, list) for value in lists.values()):
        raise wrong
    dicts = lists["messages"] + lists["events"]
    if not all(isinstance(value, dict) for value in dicts):
        raise wrong
    files = [str(name) for name in lists["files"]]
    answer = str(entry.get("answer", ""))
    return Turn(
        "", entry["question"], None, files, lists["messages"], lists["events"], answer=answer
    )
