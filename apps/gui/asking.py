"""From what a person typed and chose on the page to a running turn."""

from __future__ import annotations

import dataclasses
import filecmp
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qwenbelt.apps.agent_choice import NO_TOOLS, AgentChoice, skill_sources, tool_names
from qwenbelt.apps.export import message_text
from qwenbelt.apps.gui.access.team import TeamRules
from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.given import Given, Suggestion
from qwenbelt.apps.gui.hub import SessionRegistry
from qwenbelt.apps.gui.kept.store import ChatTurn
from qwenbelt.apps.gui.message_lists import MessageLists
from qwenbelt.apps.gui.pairs import short_model
from qwenbelt.apps.gui.strings import PageError, say
from qwenbelt.apps.gui.voice import VOICE_FIELDS, VoiceChoice
from qwenbelt.core.errors import InputError
from qwenbelt.core.events import Event, ModelFinished, ModelStarted
from qwenbelt.core.language import Language
from qwenbelt.core.limits import input_file
from qwenbelt.core.reply_fold import ReplyFold
from qwenbelt.tools.mcp.config import server_entries
from qwenbelt.workflows.demo.bundled import demo_pdf

MAX_FILE_MB = 100
DATABASE_BYTES = 8 * 1024 * 1024  # larger files are not kept in a database
DEMO = "demo"  # under which a conversation keeps that it plays the demo, and in which language
MAX_FILES = 20
_CODE = "code_interpreter"
AgentMaker = Callable[..., Any]


class TurnStarter:
    """Starts turns.

    Args:
        hub: the conversations.
        defaults: the choice that the server was started with.
        make_agent: makes an agent of a choice: (choice, made tools, session=, folder=).
        free_endpoints: whether people may name any endpoint, or only one of `endpoints`.
        given: agents that a program made; they answer instead of agents of a choice.
        voice: which models hear and speak unless people choose others.
    """

    def __init__(
        self,
        hub: SessionRegistry,
        defaults: AgentChoice,
        make_agent: AgentMaker,
        *,
        free_endpoints: bool = True,
        endpoints: Sequence[str] = (),
        given: Given | None = None,
        voice: VoiceChoice | None = None,
    ) -> None:
        self.hub = hub
        self.defaults = defaults
        self.free_endpoints = free_endpoints
        self.endpoints = list(endpoints)
        self.given = given
        self._voice = voice or VoiceChoice()
        self._make_agent = make_agent

    def choice(self, user: str, here: Mapping[str, Any] | None = None) -> AgentChoice:
        """Returns what a user chose last, within what the server allows.

        Args:
            user: whose.
            here: what was chosen for one conversation, which goes before it.
        """
        chosen = {**self.hub.store.settings(user), **(here or {})}
        rules = TeamRules.kept(self.hub.store)
        allowed = {name: chosen[name] for name in _CHOSEN if name in chosen}
        endpoint = allowed.get("endpoint") or self.defaults.endpoint
        if not self.free_endpoints and endpoint not in (
            *self.endpoints,
            *rules.endpoints,
            self.defaults.endpoint,
        ):
            endpoint = self.defaults.endpoint
        known = {**allowed, "endpoint": endpoint}
        for name in ("tools", "mcp_off", "skills_off"):
            if name in known:
                known[name] = tuple(known[name])
        if rules.tools is not None:
            tools = tool_names(known.get("tools", self.defaults.tools))
            known["tools"] = tuple(rules.allowed(tools)) or (NO_TOOLS,)
            if "code_interpreter" not in rules.tools:
                known["code_mode"] = False
        return dataclasses.replace(self.defaults, **known)

    def choose_here(self, session: ChatSession, body: Mapping[str, Any]) -> None:
        """Keeps for one conversation which model answers, and with which tools; None is as always.

        Raises:
            PageError: the server's endpoints are fixed, and it is none of them.
        """
        kept = dict(session.choice_here)
        if "endpoint" in body:
            spec = str(body["endpoint"] or "").strip()[:500]
            if not self._is_allowed(spec):
                raise PageError("endpoints_fixed")
            kept["endpoint"] = spec
        if "beside" in body:
            spec = str(body["beside"] or "").strip()[:500]
            if not self._is_allowed(spec):
                raise PageError("endpoints_fixed")
            if spec and self.hub.replica is not None:
                raise PageError("beside_replicas")
            kept["beside"] = spec
        if "tools" in body:
            given = body["tools"]
            kept["tools"] = [str(name) for name in given][:200] if isinstance(given, list) else None
        session.choice_here = {name: value for name, value in kept.items() if value}
        self.hub.store.keep(session.row.id, "choice", session.choice_here)
        session.notify()

    def _is_allowed(self, spec: str) -> bool:
        """Returns whether people may name this endpoint; none is always allowed."""
        rules = TeamRules.kept(self.hub.store)
        fixed = (*self.endpoints, *rules.endpoints, self.defaults.endpoint)
        return not spec or self.free_endpoints or spec in fixed

    def _answer_beside(self, session: ChatSession, question: str) -> None:
        """Has the second model answer too, where two are compared in this conversation."""
        spec = session.choice_here.get("beside")
        if not spec or self.given is not None or self.hub.replica is not None:
            return
        # what is allowed may have changed since it was chosen
        if not self._is_allowed(spec) or self._demo_choice(session, question) is not None:
            return
        choice = self.choice(session.row.user, session.choice_here)
        other = dataclasses.replace(choice, endpoint=spec, code_mode=False, defer_tools=False)
        session.start_beside(short_model(choice.endpoint), other, self._make_agent)

    def voice(self, user: str) -> VoiceChoice:
        """Returns which models hear a user and speak to them."""
        if not self.free_endpoints:
            return self._voice
        settings = self.hub.store.settings(user)
        chosen = {name: str(settings[name] or "") for name in VOICE_FIELDS if name in settings}
        return dataclasses.replace(self._voice, **chosen)

    def servers(self) -> list[str]:
        """Returns the names of the MCP servers that people may switch on and off."""
        return list(server_entries(self.defaults.mcp)) if self.defaults.mcp else []

    def skills(self) -> list[tuple[str, str]]:
        """Returns names and descriptions of the skills that people may switch on and off."""
        if self.given is not None:
            return []
        from qwenbelt.tools.skills.library import SkillLibrary

        library = SkillLibrary(skill_sources(self.defaults.skills))
        return [(skill.name, skill.description) for skill in library]

    def send(self, session: ChatSession, question: str, files: Sequence[str]) -> ChatTurn | None:
        """Asks below what is shown; while an answer is coming the message waits for its end.

        Returns:
            The turn, or None where the message waits.

        Raises:
            PageError: a file is gone.
        """
        session.start_queued = self._start_queued
        if self.hub.replica is not None and self.hub.replica.sent(session, question, list(files)):
            return None
        if session.live is not None:
            session.enqueue(question, files)
            return None
        return self.ask(session, question, files, session.row.leaf)

    def send_now(self, session: ChatSession, message: str) -> None:
        """Sends a waiting message at once; what runs is stopped.

        Raises:
            PageError: it no longer waits, or a file is gone.
        """
        session.start_queued = self._start_queued
        session.send_now(message)

    def _start_queued(self, session: ChatSession) -> None:
        waiting = session.queue[0]
        self.ask(session, waiting.text, waiting.files, session.row.leaf)
        session.dequeue(waiting.id)

    def ask(
        self, session: ChatSession, question: str, files: Sequence[str], parent: str | None
    ) -> ChatTurn:
        """Starts a turn with files that are in the conversation's folder already.

        Raises:
            InputError: the question is empty, a file is gone, or an answer is still coming.
        """
        TeamRules.kept(self.hub.store).check(self.hub.store, session.row.user)
        paths = []
        for name in files:
            path = session.file(name)
            if path is None:
                raise PageError("file_gone", name=name)
            paths.append(path)
        turn = session.start(question, paths, self.maker(session, question), parent)
        self._answer_beside(session, question)
        return turn

    def maker(self, session: ChatSession, question: str) -> Callable[[ChatSession], Any]:
        """Returns what makes the agent that answers a question."""
        user = session.row.user
        if self.given is None:
            here = session.choice_here
            choice = self._demo_choice(session, question) or self.choice(user, here)
            return lambda session: session.agent(choice, self._make_agent)
        given, agent = self.given, self.given.agent_for(question, self.chosen_agent(user))

        def seat(session: ChatSession) -> Any:
            session.folder.mkdir(parents=True, exist_ok=True)
            session.faces.learn(agent)
            if given.trusting:
                session.trust(agent)
            return given.seat(agent, f"gui-{session.row.id}", session.folder)

        return seat

    def code_tool(self, session: ChatSession) -> Any:
        """Returns the tool in whose session a conversation's code runs.

        Raises:
            PageError: nothing in this conversation may run code.
        """
        from qwenbelt.apps.toolset import tool_named

        user = session.row.user
        if self.given is not None:
            agent = self.given.agent_for("", self.chosen_agent(user))
            found = getattr(agent, "function_map", {}).get(_CODE)
            if found is None or not hasattr(found, "run_cell"):
                raise PageError("no_code_tool")
            return found
        choice = self.choice(user, session.choice_here)
        if _CODE not in tool_names(choice.tools) and not choice.code_mode:
            raise PageError("no_code_tool")
        return session.tool(_CODE, tool_named)

    def chosen_agent(self, user: str) -> str:
        """Returns the name of the given agent that a user chose; the first one's by default."""
        names = self.given.names if self.given is not None else [""]
        chosen = str(self.hub.store.settings(user).get("agent") or "")
        return chosen if chosen in names else names[0]

    def play_demo(self, user: str, language: str) -> str:
        """Begins a conversation whose first question a script answers; returns its id."""
        from qwenbelt.workflows.demo.bundled import PDF
        from qwenbelt.workflows.demo.job import demo_question

        tongue: Language = "zh" if language == "zh" else "en"
        title = say("demo_title", language)
        row = self.hub.store.new_session(user, title)
        self.hub.store.keep(row.id, DEMO, tongue)
        session = self.hub.open(user, row.id)
        names = self.attach(session, [str(demo_pdf())])
        if names != [PDF]:
            raise PageError("file_gone", name=PDF)
        self.ask(session, demo_question(tongue), names, None)
        return row.id

    def _demo_choice(self, session: ChatSession, question: str) -> AgentChoice | None:
        """Returns the scripted model for the demo's own question, and for no other."""
        if self.hub.store.kept(session.row.id, DEMO) is None:
            return None
        from qwenbelt.workflows.demo import bundled, job

        tongue: Language = "zh" if self.hub.store.kept(session.row.id, DEMO) == "zh" else "en"
        if question != job.demo_question(tongue):
            return None
        script = self.hub.workspace.parent / f"demo.{tongue}.yaml"
        script.write_text(
            chat_script(bundled.scripted_replies(tongue), bundled.PDF), encoding="utf-8"
        )
        # the code of the written replies is part of this package
        return AgentChoice(endpoint=f"scripted:{script}", approve="auto")

    def begin(self, session: ChatSession) -> None:
        """Puts what every conversation begins with into a new one."""
        if self.given is not None:
            session.begin_with(first_turns(session.row.id, self.given.messages))

    def suggestions(self, language: str) -> list[Suggestion]:
        """Returns what the empty page proposes."""
        if self.given is not None:
            return list(self.given.looks.suggestions)
        return [
            Suggestion(say("example_1", language)),
            Suggestion(say("example_2", language)),
            Suggestion(say("example_3", language), (str(demo_pdf()),)),
        ]

    def attach(self, session: ChatSession, uploads: Sequence[str]) -> list[str]:
        """Copies uploaded files into the conversation's folder and returns their names there.

        A file that was given before, under the same name and unchanged, is that file.

        Raises:
            PageError: a file is too large, empty, or there are too many.
        """
        if len(uploads) > MAX_FILES:
            raise PageError("too_many_files", count=MAX_FILES)
        session.folder.mkdir(parents=True, exist_ok=True)
        names = []
        for upload in uploads:
            try:
                source = input_file(upload, max_bytes=MAX_FILE_MB * 1024 * 1024)
            except InputError as error:
                raise PageError("file_bad", name=Path(upload).name, size=MAX_FILE_MB) from error
            target = _place_in(session.folder, source)
            if not target.exists():  # "x": a link that code put there meanwhile is not followed
                with source.open("rb") as given, target.open("xb") as copy:
                    shutil.copyfileobj(given, copy)
            names.append(target.name)
        names = list(dict.fromkeys(names))
        if self.hub.replica is not None:
            for name in self.hub.replica.files.keep(session.row.id):
                (session.folder / name).unlink(missing_ok=True)
                raise PageError("file_not_shared", name=name, size=DATABASE_BYTES >> 20)
        return names


def chat_script(replies: str, document: str) -> str:
    """Returns the demo's replies with citations as a chat writes them.

    A report numbers the pages that its agent has read; here a page is cited by its number.
    """
    pages = re.findall(r'read_document: .*pages: "(\d+)"', replies)
    numbered = re.compile(r"\[\$\{read_document#(\d+):\\\[\(\\d\+\)\\\]\}\]")
    return numbered.sub(lambda found: f"[{document} p.{pages[int(found[1]) - 1]}]", replies)


_CHOSEN = ("endpoint", "kind", "tools", "mcp_off", "skills_off", "think", "approve", "system")


def _place_in(folder: Path, source: Path) -> Path:
    """Returns a path in a folder under a harmless name: a free one, or that of the same file."""
    name = "".join(c for c in source.name if c.isprintable() and c not in '/\\:*?"<>|')
    name = name.lstrip(". ")
    stem, suffix = Path(name or "file").stem[:80], Path(name).suffix[:20]
    path = folder / f"{stem}{suffix}"
    number = 1
    while os.path.lexists(path) and not _same_file(path, source):
        number += 1
        path = folder / f"{stem}-{number}{suffix}"
    return path


def _same_file(kept: Path, source: Path) -> bool:
    # code of the conversation may have put a link there, which leads out of the folder
    return kept.is_file() and not kept.is_symlink() and filecmp.cmp(kept, source, shallow=False)


def first_turns(session: str, messages: Sequence[Any]) -> list[ChatTurn]:
    """Returns messages as turns, each a user's message with what followed it."""
    turns: list[ChatTurn] = []
    for given in messages:
        message = dict(given) if isinstance(given, Mapping) else dict(given.model_dump())
        if message["role"] == "user":
            turns.append(ChatTurn(session, message_text(message)))
        if turns and message["role"] != "system":
            turns[-1].messages.append(message)
    for number, turn in enumerate(turns):
        turn.created += number / 1000  # keeps the order
        events: list[Event] = []
        MessageLists(events.append, with_names=False).take(turn.messages[1:], last=True)
        turn.answer = _answer_text(events)
        events = [event for event in events if not isinstance(event, (ModelStarted, ModelFinished))]
        turn.events = [event.to_dict() for event in events]
    return turns


def _answer_text(events: Sequence[Event]) -> str:
    """Returns the text that events leave, of all replies."""
    said, fold = "", ReplyFold()
    for event in events:
        if isinstance(event, ModelStarted):
            said += "".join(fold.text)
        fold.take(event.kind, getattr(event, "text", ""))
    return said + "".join(fold.text)
