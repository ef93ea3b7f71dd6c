"""Two models that answer one question beside each other, and which answer the person goes on with.

Both answers are turns below the same parent. The second one has the tools that only read: the
two would otherwise write into one folder and one session of code at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qwenbelt.apps.agent_choice import AgentChoice
    from qwenbelt.apps.gui.kept.store import ChatTurn

PAIRS = "pairs"  # what a conversation keeps them under


@dataclass
class AnswerPair:
    """Two turns that answer one question.

    Attributes:
        first: the id of the turn that the conversation goes on with unless the other is chosen.
        second: the id of the other one.
        models: names of the models, as far as they are known.
        off: names of the tools that the second one did without.
        kept: the id of the turn that was chosen; empty before.
    """

    first: str
    second: str
    models: list[str] = field(default_factory=lambda: ["", ""])
    off: list[str] = field(default_factory=list)
    kept: str = ""

    def model_of(self, turn: str) -> str:
        """Returns the name of the model that answers in a turn."""
        return self.models[turn == self.second]


class AnswerPairs:
    """The pairs of a conversation.

    Args:
        rows: as they were kept.
        keep: keeps them.
    """

    def __init__(
        self, rows: Sequence[dict[str, Any]] | None, keep: Callable[[list[dict[str, Any]]], None]
    ) -> None:
        self._pairs = [AnswerPair(**row) for row in rows or ()]
        self._keep = keep

    def add(self, pair: AnswerPair) -> None:
        """Adds a pair."""
        self._pairs.append(pair)
        self.save()

    def save(self) -> None:
        """Keeps the pairs as they are now."""
        self._keep([asdict(pair) for pair in self._pairs])

    def of(self, turn: str) -> AnswerPair | None:
        """Returns the pair that a turn belongs to."""
        return next((pair for pair in self._pairs if turn in (pair.first, pair.second)), None)

    def other(self, turn: str) -> str:
        """Returns the id of the turn that answers the same question beside this one, or ""."""
        pair = self.of(turn)
        if pair is None:
            return ""
        return pair.second if turn == pair.first else pair.first


def second_agent(
    choice: AgentChoice, make: Callable[..., Any], made: dict[str, Any], **settings: Any
) -> tuple[Any, list[str]]:
    """Returns the agent that answers beside another, and the names of tools it does without.

    Args:
        choice: what it is made of.
        make: makes agents.
        made: tool objects of its own, so that no state is shared.
        **settings: its session and its folder.
    """
    agent = make(choice, made, **settings)
    off = [n for n, tool in agent.function_map.items() if not getattr(tool, "read_only", False)]
    for name in off:
        del agent.function_map[name]
    return agent, off


def short_model(spec: str | None) -> str:
    """Returns the model's name in an endpoint spec, for people."""
    name = (spec or "").partition("@")[0]
    return name.rpartition("/")[2] if "/" in name else name.partition(":")[2] or name


def model_told(turn: ChatTurn, records: Sequence[dict[str, Any]]) -> str:
    """Returns the name of the model that a turn's run reported, or ""."""
    told = next((r for r in records or turn.events if r.get("event") == "run_started"), {})
    return str(told.get("model") or "").rpartition("/")[2]
