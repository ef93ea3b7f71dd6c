"""Finds the turn that a request asks for, and refuses requests that the scenario does not allow.

A *play* is one run through a conversation. A request belongs to the play whose last request it
continues. The same request again, after a reply that did not arrive, is a retry of the same turn.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qwenbelt.core.jsons import loads_bounded
from qwenbelt.testing.checks.matchers import shown_value
from qwenbelt.testing.errors import did_you_mean
from qwenbelt.testing.scenarios.request import ChatRequest
from qwenbelt.testing.scenarios.scenario import Call, Conversation, Fault, Scenario, Turn


class Surprise(Exception):
    """A request that the scenario does not allow; the message names the turn."""


@dataclass
class Play:
    """One run through a conversation.

    Attributes:
        conversation: what is played.
        number: counts the plays of this conversation from 1.
        next: the index of the turn to be served next.
        attempt: how often that turn was begun and did not arrive.
        messages: the messages of the last request.
        calls: the calls of the last turn, as they were sent.
        ids: their ids.
    """

    conversation: Conversation
    number: int
    next: int = 0
    attempt: int = 0
    messages: Sequence[Any] = ()
    calls: tuple[Call, ...] = ()
    ids: tuple[str, ...] = ()
    exact: bool = True
    serving: Placed | None = None

    @property
    def finished(self) -> bool:
        """Whether all turns were served."""
        return self.next >= len(self.conversation.turns)

    def title(self) -> str:
        """What failures call the next turn."""
        return self.conversation.title(min(self.next, len(self.conversation.turns)))

    def closeness(self, messages: Sequence[Any]) -> float:
        """How much of the last request is at the front of this one, in messages."""
        if list(self.messages) == list(messages):
            return 0  # the same request does not continue it
        same = 0
        if self.ids and set(self.ids) <= set(_sent_calls(messages)):
            same = len(messages)  # its own call ids distinguish it from other plays
        for before, now in zip(self.messages, messages, strict=False):
            if before != now:
                return same + _common_beginning(before, now)
            same += 1
        return same


def _common_beginning(before: Any, now: Any) -> float:
    a, b = (json.dumps(value, ensure_ascii=False, default=str) for value in (before, now))
    length = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
    return (min(len(a), len(b)) if length is None else length) / max(len(a), len(b))


@dataclass
class Placed:
    """Where a request was placed: its play, its turn, and the fault of this attempt."""

    play: Play
    index: int
    turn: Turn
    fault: Fault
    attempt: int
    title: str


@dataclass
class Stage:
    """All plays of a scenario.

    Attributes:
        scenario: what is played.
        allowed: how often each conversation may be played; None for any number.
    """

    scenario: Scenario
    allowed: int | None = 1
    plays: list[Play] = field(default_factory=list)
    begun: Counter[int] = field(default_factory=Counter)

    def place(self, request: ChatRequest, *, check: bool = True) -> Placed:
        """Returns the turn for a request and marks it as being served.

        Args:
            request: the request.
            check: whether the history must hold the calls of the turn before.

        Raises:
            Surprise: the scenario does not allow the request.
        """
        conversation = self._conversation(request)
        play = self._play(conversation, request)
        if play.finished:
            raise Surprise(self._beyond(play, request))
        if check:
            self._check_history(play, request)
        turn = conversation.turns[play.next]
        fault = turn.faults[play.attempt] if play.attempt < len(turn.faults) else Fault()
        play.messages = request.messages
        play.attempt += 1
        placed = Placed(play, play.next, turn, fault, play.attempt, play.title())
        play.serving = placed
        return placed

    def release(self, placed: Placed) -> None:
        """Takes a refused request back: its turn is due as before."""
        if placed.play.serving is placed:
            placed.play.serving = None
            placed.play.attempt -= 1

    def arrived(self, placed: Placed, turn: Turn, ids: tuple[str, ...]) -> None:
        """Moves on: the client has the whole turn."""
        play = placed.play
        if play.serving is not placed:
            return  # the client has asked again in the meantime
        play.serving = None
        play.next, play.attempt = placed.index + 1, 0
        play.calls, play.ids = turn.calls, ids
        play.exact = not (
            placed.fault.bad_json
            or placed.fault.null_arguments
            or placed.fault.truncate_after is not None
        )
        if self.allowed is None and play.finished:
            self.plays.remove(play)  # an endpoint may be up for days

    def ended(self, placed: Placed) -> None:
        """Ends the service of a turn; if it did not arrive, the same turn is due again."""
        if placed.play.serving is placed:
            placed.play.serving = None

    def _conversation(self, request: ChatRequest) -> Conversation:
        known = self.scenario.conversations
        if len(known) == 1:
            return known[0]
        first = request.first_user
        same = [c for c in known if c.say == first]
        if not same:
            within = [c for c in known if c.say and c.say in first]
            same = sorted(within, key=lambda c: len(c.say or ""), reverse=True)
        if same:
            return same[0]
        says = [c.say or "" for c in known]
        hint = did_you_mean(first, says) or f" Conversations begin with: {shown_value(says)}."
        raise Surprise(f"no conversation begins with {shown_value(first)}.{hint}")

    def _play(self, conversation: Conversation, request: ChatRequest) -> Play:
        own = [play for play in self.plays if play.conversation is conversation]
        more = self.allowed is None or self.begun[id(conversation)] < self.allowed
        same = [p for p in own if p.attempt and list(p.messages) == request.messages]
        retried = next((p for p in same if p.serving is None), None)
        if retried is not None:
            return retried
        begun = any(_role(m) == "assistant" for m in request.messages) or request.results
        if more and not begun:
            return self._begin(conversation)
        able = [p for p in own if p.serving is None and not p.finished]
        best = max(able, key=lambda p: p.closeness(request.messages), default=None)
        if best is not None and (not more or best.closeness(request.messages) > 0):
            return best
        if more:
            return self._begin(conversation)
        if same:
            return same[0]  # asked again before the broken connection was noticed
        if all(play.finished for play in own):
            return own[-1]
        raise Surprise("the same conversation runs twice at once; allow that with `plays`")

    def _begin(self, conversation: Conversation) -> Play:
        self.begun[id(conversation)] += 1
        play = Play(conversation, self.begun[id(conversation)])
        self.plays.append(play)
        return play

    def _check_history(self, play: Play, request: ChatRequest) -> None:
        if not play.calls or not play.exact:
            return
        if request.form != "native":
            self._check_written(play, request)
            return
        sent = _sent_calls(request.messages)
        for call_id, call in zip(play.ids, play.calls, strict=True):
            if call_id not in sent:
                waited = ", ".join(
                    f"{c.name} ({i})" for i, c in zip(play.ids, play.calls, strict=True)
                )
                raise Surprise(
                    f"{play.title()} waits for the results of {waited}, and the request's "
                    f"history has no call {call_id}"
                )
            function = sent[call_id]
            if function.get("name") != call.name or not _same_json(
                function.get("arguments"), call.text
            ):
                written = shown_value(function.get("arguments"))
                raise Surprise(
                    f"{play.title()}: the history says that {call_id} was "
                    f"{function.get('name')}({written}), but the model "
                    f"called {call.name}({shown_value(call.text)})"
                )

    def _check_written(self, play: Play, request: ChatRequest) -> None:
        if request.form in ("nous", "react") and not request.results:
            names = ", ".join(call.name for call in play.calls)
            raise Surprise(
                f"{play.title()} waits for the results of {names}, and the request has none"
            )

    def _beyond(self, play: Play, request: ChatRequest) -> str:
        total = len(play.conversation.turns)
        last = request.messages[-1] if request.messages else {}
        again = "; a second run needs `plays=2`, or None for any number" if self.allowed else ""
        return (
            f"a request beyond the last of {total} turns "
            f"({play.conversation.title(total - 1)}); its last message is "
            f"{_role(last)} {shown_value(last.get('content'))}{again}"
        )

    def unfinished(self) -> list[str]:
        """Returns what was not played, one line a conversation."""
        out = []
        for conversation in self.scenario.conversations:
            own = [play for play in self.plays if play.conversation is conversation]
            if not self.begun[id(conversation)]:
                out.append(f"{conversation.title(0)} was never asked for")
            for play in own:
                if not play.finished:
                    left = len(conversation.turns) - play.next
                    out.append(f"{play.title()} was never asked for ({left} turns left)")
        return out


def _sent_calls(messages: Sequence[Any]) -> dict[str, Any]:
    """Returns the functions of all calls in a history, by id."""
    out = {}
    for message in messages:
        calls = message.get("tool_calls") if isinstance(message, Mapping) else None
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, Mapping):
                out[str(call.get("id"))] = call.get("function") or {}
    return out


def _role(message: Any) -> str:
    return str(message.get("role", "")) if isinstance(message, Mapping) else ""


def _same_json(sent: Any, written: str) -> bool:
    try:
        return bool(loads_bounded(sent) == loads_bounded(written or "{}"))
    except (TypeError, ValueError):
        return bool(sent == written)
