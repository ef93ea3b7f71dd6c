"""What the composer's menus offer: prompts, skills, agents, files and MCP servers' own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qwenbelt.apps.gui.access.bodies import json_body
from qwenbelt.apps.gui.access.guards import language_of
from qwenbelt.apps.gui.asking import TurnStarter
from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.strings import PageError, explain_on_page, say
from qwenbelt.core.errors import QwenbeltError, one_line

if TYPE_CHECKING:
    from qwenbelt.tools.mcp.offered import Offered, OfferedPrompt

PROMPTS = "prompts"  # the field of a user's settings
_MOST_PROMPTS = 100
_MOST_CHARACTERS = 20_000
_MOST_LINE = 2000  # characters that are completed
_STARTERS = ("summary", "table", "check", "plain")


class OffersApi:
    """The routes of the composer's menus.

    Args:
        session_of: returns the conversation of a request, or refuses it.
        asker: knows who may answer, and the tools.
    """

    def __init__(self, session_of: Callable[[Request], ChatSession], asker: TurnStarter) -> None:
        self._of = session_of
        self._asker = asker

    def routes(self) -> list[Route]:
        """Returns the routes; the caller guards them."""
        return [
            Route("/qb/offers/{session}", self._offers, methods=["GET"]),
            Route("/qb/prompts/{session}", self._keep, methods=["POST"]),
            Route("/qb/complete/{session}", self._complete, methods=["POST"]),
        ]

    async def _complete(self, request: Request) -> Response:
        """Answers with what can stand at the end of a line, by the servers' own completion."""
        session, body = self._of(request), await json_body(request)
        line = str(body.get("line", ""))[-_MOST_LINE:]

        def words() -> list[str]:
            offered = offered_by(self._asker, session)
            return offered.complete(line) if offered is not None else []

        try:
            found = await asyncio.to_thread(words)
        except QwenbeltError:  # a server that is away suggests nothing; its offers say so
            found = []
        return JSONResponse({"words": [word for word in found if len(word) < _MOST_LINE][:50]})

    async def _offers(self, request: Request) -> Response:
        session, language = self._of(request), language_of(request)
        commands = [*self._own(session.row.user), *_starters(language)]
        mentions = [
            *({"kind": "agent", "name": f"@{name}", "insert": f"@{name} "} for name in self._who()),
            *({"kind": "file", "name": name, "insert": ""} for name in _files(session)),
        ]
        problem = ""
        try:
            skills, prompts, resources = await asyncio.to_thread(
                _from_tools, self._asker, session, language
            )
            commands += skills + prompts
            mentions += resources
        except QwenbeltError as error:  # a server is away: the rest is offered, and it is said
            problem = explain_on_page(error, language)
        return JSONResponse({"commands": commands, "mentions": mentions, "problem": problem})

    def _who(self) -> list[str]:
        given = self._asker.given
        return given.names if given is not None and given.mention and given.choosable else []

    def _own(self, user: str) -> list[dict[str, str]]:
        return [
            {"kind": "own", "name": f"/{name}", "insert": text, "about": one_line(text, 80)}
            for name, text in kept_prompts(self._asker, user).items()
        ]

    async def _keep(self, request: Request) -> Response:
        user, body = self._of(request).row.user, await json_body(request)
        name = "-".join(str(body.get("name", "")).lower().split())[:40].strip("/-")
        text = str(body.get("text", "")).strip()[:_MOST_CHARACTERS]
        if not name:
            raise PageError("prompt_name")
        known = kept_prompts(self._asker, user)
        if text:
            known[name] = text
        else:
            known.pop(name, None)
        if len(known) > _MOST_PROMPTS:
            raise PageError("many_prompts", count=_MOST_PROMPTS)
        self._asker.hub.store.change_setting(user, PROMPTS, lambda *_: known)
        return JSONResponse({})


def kept_prompts(asker: TurnStarter, user: str) -> dict[str, str]:
    """Returns a user's own prompts by their names."""
    kept = asker.hub.store.settings(user).get(PROMPTS)
    return {str(k): str(v) for k, v in kept.items()} if isinstance(kept, dict) else {}


def _starters(language: str) -> list[dict[str, str]]:
    return [
        {
            "kind": "prompt",
            "name": f"/{say(f'starter_{key}', language)}",
            "insert": say(f"starter_{key}_text", language),
            "about": one_line(say(f"starter_{key}_text", language), 80),
        }
        for key in _STARTERS
    ]


def _files(session: ChatSession) -> list[str]:
    if not session.folder.is_dir():
        return []
    found = (session.file(path.name) for path in sorted(session.folder.iterdir()))
    return [path.name for path in found if path is not None and path.name[0] != "."][:200]


Offers = list[dict[str, str]]


def _from_tools(
    asker: TurnStarter, session: ChatSession, language: str
) -> tuple[Offers, Offers, Offers]:
    """Returns skills, prompts and resources; asks the servers, so it may take a while."""
    off = asker.choice(session.row.user).skills_off
    skills = [
        {
            "kind": "skill",
            "name": f"/{name}",
            "insert": say("use_skill", language, name=name),
            "about": one_line(about, 80),
        }
        for name, about in asker.skills()
        if name not in off
    ]
    offered = offered_by(asker, session)
    if offered is None:
        return skills, [], []
    prompts = [
        {
            "kind": "mcp",
            "name": prompt.command,
            "insert": " ".join((prompt.command, *(f"{name}=" for name in prompt.required))),
            "about": _about(prompt),
            "icon": prompt.icon,
        }
        for prompt in offered.prompts()
    ]
    resources = [
        {
            "kind": "mcp",
            "name": resource.reference,
            # of a template, what is before its first variable: the rest is completed
            "insert": resource.reference.partition("{")[0]
            if resource.template
            else f"{resource.reference} ",
            "about": one_line(resource.title, 80),
            "icon": resource.icon,
        }
        for resource in offered.resources()
    ]
    return skills, prompts, resources


def _about(prompt: OfferedPrompt) -> str:
    said = prompt.description
    title = prompt.title if prompt.title not in (prompt.name, said) else ""
    return one_line(" ".join((*_optional(prompt), ": ".join(filter(None, (title, said))))), 80)


def _optional(prompt: OfferedPrompt) -> list[str]:
    return [f"[{name}=]" for name in prompt.arguments if name not in prompt.required]


def offered_by(asker: TurnStarter, session: ChatSession) -> Offered | None:
    """Returns what MCP servers offer to people in a conversation, or None without servers."""
    tools: Iterable[Any]
    if asker.given is not None:
        agent = asker.given.agent_for("", asker.chosen_agent(session.row.user))
        tools = getattr(agent, "function_map", {}).values()
    else:
        choice = asker.choice(session.row.user, session.choice_here)
        if not choice.mcp:
            return None
        tools = session.tools_of(choice)
    from qwenbelt.tools.mcp.offered import Offered

    offered = Offered(tools)
    return offered if offered.servers else None


def filled_question(asker: TurnStarter, session: ChatSession, text: str) -> tuple[str, list[str]]:
    """Returns a question with a server's prompt filled in, and the resources it names as files.

    Resources of earlier questions whose servers say that they changed come along.

    Raises:
        QwenbeltError: the prompt or the resource is not there, or the server failed.
    """
    before = [turn.question for turn in session.path() if "@" in turn.question]
    if "@" not in text and not text.startswith("/") and not before:
        return text, []
    offered = offered_by(asker, session)
    if offered is None:
        return text, []
    filled = offered.fill(text) if text.startswith("/") else None
    files: list[Path] = offered.take(text, session.folder) if "@" in text else []
    again = offered.refreshed(before, session.folder)
    files += [path for paths in again.files.values() for path in paths]
    return "\n\n".join(filter(None, (filled or text, again.told()))), [p.name for p in files]
