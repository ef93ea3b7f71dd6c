"""Agents that a program has made, for `WebUI`: how they look and how they are run."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import ConfigError

logger = logging.getLogger("qwenbelt.gui")
_KEYS = {
    *("user.name", "user.avatar", "agent.avatar", "input.placeholder"),
    *("prompt.suggestions", "verbose"),
}
_MENTION = re.compile(r"@(\w[\w-]*)")


@dataclass(frozen=True)
class Suggestion:
    """A question that the empty page proposes, with files that go with it."""

    text: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Looks:
    """The settings in `chatbot_config`.

    Attributes:
        user_avatar: a picture's file; None for none. `agent_avatar` likewise.
    """

    user_name: str = ""
    user_avatar: Path | None = None
    agent_avatar: Path | None = None
    placeholder: str = ""
    suggestions: tuple[Suggestion, ...] = ()
    verbose: bool = False

    @classmethod
    def read(cls, config: Mapping[str, Any] | None) -> Looks:
        """Reads qwen-agent's `chatbot_config`.

        Raises:
            ConfigError: a key is not known, or a value has another form.
        """
        given = dict(config or {})
        unknown = sorted(given.keys() - _KEYS)
        if unknown:
            known = ", ".join(sorted(_KEYS))
            raise ConfigError(f"chatbot_config: {unknown[0]!r} is not known.", fix=f"Keys: {known}")
        return cls(
            user_name=str(given.get("user.name") or ""),
            user_avatar=_picture_of_agent(given.get("user.avatar")),
            agent_avatar=_picture_of_agent(given.get("agent.avatar")),
            placeholder=str(given.get("input.placeholder") or ""),
            suggestions=tuple(map(_suggestion_text, given.get("prompt.suggestions") or ())),
            verbose=bool(given.get("verbose")),
        )


def _picture_of_agent(value: Any) -> Path | None:
    if not value:
        return None
    path = Path(str(value).removeprefix("file://")).expanduser()
    if not path.is_file():
        raise ConfigError(f"chatbot_config: {value}: there is no such picture file.")
    return path


def _suggestion_text(value: Any) -> Suggestion:
    if isinstance(value, str):
        return Suggestion(value)
    if not isinstance(value, Mapping) or not isinstance(value.get("text"), str):
        raise ConfigError(
            "chatbot_config: a suggestion is a text, or {'text': ..., 'files': [...]}."
        )
    files = tuple(str(file).removeprefix("file://") for file in value.get("files") or ())
    return Suggestion(value["text"], files)


@dataclass
class Given:
    """The agents, and how each conversation runs them.

    Attributes:
        agents: those that answer; people choose one if there are several and no hub.
        hub: a router or group that represents all of them.
        mention: whether `@name` in a question chooses the agent.
        settings: keyword arguments for every run.
        messages: what every conversation begins with.
        trusting: whether tools that keep to the conversation's folder run unasked.
    """

    agents: Sequence[Any]
    hub: Any = None
    looks: Looks = field(default_factory=Looks)
    mention: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    messages: Sequence[Any] = ()
    trusting: bool = False

    @property
    def names(self) -> list[str]:
        """The agents' names; those without one are numbered."""
        return [str(a.name or f"agent {n}") for n, a in enumerate(self.agents, 1)]

    @property
    def choosable(self) -> bool:
        """Whether people choose who answers."""
        return self.hub is None and len(self.agents) > 1

    def agent_for(self, question: str, chosen: str) -> Any:
        """Returns who answers a question."""
        if self.hub is not None:
            return self.hub
        names = self.names
        if self.mention:
            chosen = next((n for n in _MENTION.findall(question) if n in names), chosen)
        return self.agents[names.index(chosen) if chosen in names else 0]

    def seat(self, agent: Any, session: str, folder: Path) -> Seat:
        """Returns the agent as one conversation has it."""
        return Seat(self, agent, session, folder)


class Seat:
    """An agent in one conversation: its runs get the conversation's kernel, folder and files."""

    def __init__(self, given: Given, agent: Any, session: str, folder: Path) -> None:
        self._given = given
        self._agent = agent
        self._place = {"session": session, "folder": folder}

    def stream(self, messages: Sequence[Mapping[str, Any]]) -> Any:
        """Starts a run; returns its events."""
        if self._given.looks.verbose:
            logger.info("asked: %s", messages[-1].get("content"))
        from qwenbelt.agents import FnCallAgent
        from qwenbelt.apps.gui.stock_run import StockRun

        agent, settings = self._agent, dict(self._given.settings)
        own = isinstance(agent, FnCallAgent)
        if own and type(agent)._run is FnCallAgent._run:
            return agent.stream(messages, **{**self._place, **settings})
        inside = [agent] if own else list(getattr(agent, "agents", None) or ())
        members = [member for member in inside if isinstance(member, FnCallAgent)]
        if members:
            settings = {**self._place, **settings}
        named = [self._named(message) for message in messages]
        return StockRun(agent, named, settings, members)

    def _named(self, message: Mapping[str, Any]) -> dict[str, Any]:
        name = self._given.looks.user_name
        if name and message.get("role") == "user" and not message.get("name"):
            return {**message, "name": name}
        return dict(message)
