"""Approvals over HTTP, written as OpenAI's responses write those of MCP tools.

A reply ends with an item `mcp_approval_request` for each call that waits. A request that names the
reply (`previous_response_id`) and has an item `mcp_approval_response` for it goes on with the run,
on any server with the same store, however late it comes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from qwenbelt.agents.sessions.approvals import ApprovalTable
from qwenbelt.core.errors import InputError
from qwenbelt.core.events import ApprovalAsked

Json = dict[str, Any]
REQUEST, RESPONSE = "mcp_approval_request", "mcp_approval_response"


def request_item(run_id: str, event: ApprovalAsked) -> Json:
    """Returns the item of a reply that asks about a call."""
    return {
        "type": REQUEST,
        "id": _name_of(run_id, event.call_id),
        "server_label": "qwenbelt",
        "name": event.name,
        "arguments": event.arguments,
    }


def given_answers(body: Mapping[str, Any], *, asked: bool) -> dict[str, bool]:
    """Returns a request's answers by the ids of what they answer; none where it asks a question.

    Args:
        body: the request.
        asked: whether this server asks for approvals.

    Raises:
        InputError: an answer is not complete, a question stands beside it, or nothing is asked.
    """
    given = body.get("input")
    items = [item for item in given if isinstance(item, Mapping)] if isinstance(given, list) else []
    answers = [item for item in items if item.get("type") == RESPONSE]
    if answers and not asked:
        raise InputError(
            "This server asks for no approvals.", fix="Serve with --store and --approvals."
        )
    found = {}
    for item in answers:
        identity, allowed = item.get("approval_request_id"), item.get("approve")
        if not isinstance(identity, str) or not isinstance(allowed, bool):
            raise InputError(
                f"`{RESPONSE}` is not complete.",
                fix="Give `approval_request_id` (a text) and `approve` (true or false).",
            )
        found[identity] = allowed
    if found and not body.get("previous_response_id"):
        raise InputError(
            f"`{RESPONSE}` needs `previous_response_id`.", fix="Name the reply that asked."
        )
    if found and len(items) > len(answers):
        raise InputError(
            f"`{RESPONSE}` stands beside another item.", fix="Send what else you have to say next."
        )
    return found


def answer_all(place: str, run_id: str, reply: Mapping[str, Any], answers: dict[str, bool]) -> None:
    """Answers what a reply asked; what was answered before stays as it is.

    Raises:
        InputError: the reply asked nothing of that id.
    """
    asked = {item.get("id") for item in reply.get("output") or () if item.get("type") == REQUEST}
    for identity in answers:
        if identity not in asked:
            raise InputError(
                f"The reply asks for no approval {identity!r}.",
                fix=f"Give the `id` of an item `{REQUEST}` of its output.",
            )
    table = ApprovalTable(place)
    for waiting in table.waiting():
        allowed = answers.get(_name_of(run_id, waiting.call))
        if waiting.run == run_id and allowed is not None:
            table.answer(run_id, waiting.call, allowed)


def _name_of(run_id: str, call_id: str) -> str:
    return f"mcpr_{hashlib.sha256(f'{run_id} {call_id}'.encode()).hexdigest()[:32]}"
