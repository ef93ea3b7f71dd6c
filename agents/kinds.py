"""The kinds of agents, by the words that people choose them with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from qwenbelt.agents.fncall import FnCallAgent

AgentKind = Literal["fncall", "react", "assistant"]
AGENT_KINDS: tuple[AgentKind, ...] = get_args(AgentKind)
SearchingKind = Literal["fncall", "react"]  # those that decide themselves what they search for
SEARCHING_KINDS: tuple[SearchingKind, ...] = get_args(SearchingKind)


def agent_class(kind: AgentKind) -> type[FnCallAgent]:
    """Returns the class of the agents of a kind."""
    from qwenbelt.agents.assistant import Assistant
    from qwenbelt.agents.fncall import FnCallAgent
    from qwenbelt.agents.react import ReActChat

    return {"fncall": FnCallAgent, "react": ReActChat, "assistant": Assistant}[kind]
