"""Conversations out of the chat and into it: Markdown, JSON, a scenario for tests."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import PurePath
from typing import Any

from qwenbelt.apps.export import as_markdown
from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.drawing.safe_html import RenderContext
from qwenbelt.apps.gui.drawing.turn_view import TurnView
from qwenbelt.apps.gui.kept.conversation_report import KINDS, conversation_report
from qwenbelt.apps.gui.kept.shared_page import shared_page
from qwenbelt.apps.gui.kept.store import ChatStore, ChatTurn, SessionRow
from qwenbelt.apps.gui.live_turn import ended_well
from qwenbelt.apps.gui.strings import PageError
from qwenbelt.core.errors import InputError

FORMAT = "qwenbelt-conversation"
SCENARIO = "conversation.scenario.yaml"
_ROLES = ("system", "user", "assistant", "function")


def export_conversation(
    session: ChatSession, form: str, language: str = "en"
) -> tuple[str | bytes, str, str]:
    """Returns a conversation as text or bytes, its media type and a file name.

    Args:
        session: the conversation.
        language: "en" or "zh".
        form: "md", "html" (one file to pass on), "report.pdf", "report.docx", "report.html",
            "json" (can be imported again) or "scenario" (can be run as a test; an archive
            of scenario and files when the conversation has files).

    Raises:
        InputError: there is no such form, or nothing was said yet.
    """
    path = session.path()
    if not path:
        raise PageError("nothing_said")
    if form == "md":
        messages = [message for turn in path for message in turn.messages]
        text = _without_folder(as_markdown(messages), session)
        return text, "text/markdown; charset=utf-8", "conversation.md"
    if form == "html":
        return shared_page(session, language), "text/html; charset=utf-8", "conversation.html"
    kind = form.removeprefix("report.")
    if form.startswith("report.") and kind in KINDS:
        body = conversation_report(session, kind, "zh" if language == "zh" else "en")
        return body, KINDS[kind], f"conversation-{form}"
    if form == "json":
        told = {"format": FORMAT, "title": session.row.title, "turns": [_as_dict(t) for t in path]}
        text = _without_folder(json.dumps(told, ensure_ascii=False, indent=1), session)
        return text, "application/json", "conversation.json"
    if form == "scenario":
        return _scenario(session, [turn for turn in path if ended_well(turn)])
    raise InputError(
        f"There is no form {form!r}; there are md, html, report.pdf, report.docx, "
        "report.html, json and scenario."
    )


def _without_folder(text: str, session: ChatSession) -> str:
    """Returns a text without the server's paths to the conversation's files."""
    return text.replace(f"{session.folder.resolve()}/", "").replace(f"{session.folder}/", "")


def _as_dict(turn: ChatTurn) -> dict[str, Any]:
    names = ("question", "files", "messages", "events", "answer")
    return {name: getattr(turn, name) for name in names}


def _scenario(session: ChatSession, path: list[ChatTurn]) -> tuple[str | bytes, str, str]:
    """Returns the turns that were answered; a stopped one would have to be stopped again."""
    from qwenbelt.testing import Trajectory, scenario_text

    if not path:
        raise PageError("nothing_answered")
    records = [record for turn in path for record in turn.events]
    names = list(dict.fromkeys(name for turn in path for name in turn.files))
    files = [file for name in names if (file := session.file(name)) is not None]
    run = Trajectory.from_records(records)
    text = str(scenario_text(run, files=[file.name for file in files]))
    if not files:
        return text, "application/yaml", SCENARIO
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(SCENARIO, text)
        for file in files:
            packed.write(file, file.name)
    return archive.getvalue(), "application/zip", "conversation.scenario.zip"


def import_conversation(store: ChatStore, user: str, body: dict[str, Any]) -> SessionRow:
    """Makes a conversation from what `export` gave as "json".

    Files are not exported with it, and its paths are not followed: its author could name any
    file of this server.

    Raises:
        PageError: it is something else.
    """
    if body.get("format") != FORMAT or not isinstance(body.get("turns"), list):
        raise PageError("no_export")
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


def _checked(entry: Any) -> ChatTurn:
    wrong = PageError("no_export")
    if not isinstance(entry, dict) or not isinstance(entry.get("question"), str):
        raise wrong
    lists = {name: entry.get(name, []) for name in ("files", "messages", "events")}
    if not all(isinstance(value, list) for value in lists.values()):
        raise wrong
    dicts = lists["messages"] + lists["events"]
    if not all(isinstance(value, dict) for value in dicts):
        raise wrong
    if not all(message.get("role") in _ROLES for message in lists["messages"]):
        raise wrong
    view = TurnView("checked", RenderContext())
    try:
        for event in lists["events"]:
            view.feed(event)
        view.flush(0.0)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise wrong from error
    files = [str(name) for name in lists["files"]]
    messages = [_without_files(message) for message in lists["messages"]]
    answer = str(entry.get("answer", ""))
    return ChatTurn("", entry["question"], None, files, messages, lists["events"], answer=answer)


def _without_files(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    if not isinstance(content, list):
        return {**message, "content": str(content or "")}
    return {**message, "content": [_as_text(part) for part in content if isinstance(part, dict)]}


def _as_text(part: dict[str, Any]) -> dict[str, str]:
    if "text" in part:
        return {"text": str(part["text"])}
    names = ", ".join(PurePath(str(value)).name[:200] for value in part.values())
    return {"text": f"(not part of the import: {names})"}
