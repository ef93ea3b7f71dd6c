"""Checks on what went over the wire, as a scripted endpoint saw it.

    with ScriptedServer(scenario) as server:
        run = record(agent, "What is …?", server=server)
    run.check(delivered(), append_only(), prefix(stable=True), no_secrets("sk-…"))

They need a run that was recorded beside its server.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from qwenbelt.core.secrets import is_secret_name, looks_like_key
from qwenbelt.testing.checks.checks import Check, FunctionCheck, call_text
from qwenbelt.testing.checks.matchers import shown_value
from qwenbelt.testing.checks.trajectory import Trajectory

if TYPE_CHECKING:
    from qwenbelt.testing.server.reply_sender import Exchange

_MAY_HOLD_KEYS = ("authorization", "api-key", "x-api-key")


def delivered() -> Check:
    """Checks that the model got each call's own result, whole and in its place."""

    def check(run: Trajectory) -> Iterator[str]:
        longest = max((e.request.results for e in run.requests), key=len, default=())
        by_id = {result.call_id: result.text for result in longest if result.call_id}
        for call in run.calls:
            if call.result is None or call.call_id not in by_id:
                continue
            got = by_id[call.call_id]
            if got.strip() != call.result.strip():
                owner = next((c for c in run.calls if c.result == got and c is not call), None)
                whose = f", the result of {call_text(owner)}" if owner else ""
                yield (
                    f"{call_text(call)} gave {shown_value(call.result, 60)}, but the model got "
                    f"{shown_value(got, 60)}{whose}"
                )

    return FunctionCheck(check)


def append_only() -> Check:
    """Checks that each request's messages extend those of the one before, unchanged.

    An endpoint's prompt cache needs that too. A request that came again after a failure is the
    same; a transcript in one message may grow at its end.
    """

    def check(run: Trajectory) -> Iterator[str]:
        for before, now in itertools.pairwise(run.requests):
            if before.finished is None or before.conversation != now.conversation:
                continue
            earlier = [_without_marks(message) for message in before.request.messages]
            later = [_without_marks(message) for message in now.request.messages]
            for index, message in enumerate(earlier):
                grown = later[index] if index < len(later) else None
                if message != grown and not _only_grown(message, grown):
                    yield (
                        f"request {now.request.number} changed messages[{index}]: it was "
                        f"{shown_value(message, 80)} and is {shown_value(grown, 80)}"
                    )
                    break

    return FunctionCheck(check)


def prefix(*, stable: bool = True) -> Check:
    """Checks that each request begins with all of the one before: tools, messages, their order.

    Then an endpoint that keeps prefixes (vLLM, llama.cpp, Ollama, DashScope) reads only what is
    new. Where a conversation was compacted the check does not hold, nor should it.

    Args:
        stable: False checks that a prefix was changed somewhere.
    """

    def check(run: Trajectory) -> Iterator[str]:
        changes = list(_prefix_changes(run))
        if stable:
            yield from changes
        elif not changes:
            yield "every request begins with all of the one before"

    return FunctionCheck(check)


def _prefix_changes(run: Trajectory) -> Iterator[str]:
    latest: dict[tuple[str, int], Exchange] = {}
    for now in run.requests:
        before = latest.get((now.conversation, now.play))
        latest[now.conversation, now.play] = now
        if before is None:
            continue
        number, body = now.request.number, now.request.body
        if json.dumps(before.request.body.get("tools")) != json.dumps(body.get("tools")):
            yield f"request {number} declares other tools than the one before"
        earlier = [_without_marks(message) for message in before.request.messages]
        later = [_without_marks(message) for message in now.request.messages]
        for index, message in enumerate(earlier):
            grown = later[index] if index < len(later) else None
            if json.dumps(message) != json.dumps(grown) and not _only_grown(message, grown):
                yield (
                    f"request {number} does not begin with the one before: messages[{index}] was "
                    f"{shown_value(message, 80)} and is {shown_value(grown, 80)}"
                )
                break


def cost(*, at_most: float) -> Check:
    """Checks what a run cost: money where prices are known.

    Beside a server that bills (`ScriptedServer(…, bill="dashscope")`) and without a price, it is
    the input in tokens at the full price: a hit counts a tenth, what is written five quarters.
    """

    def check(run: Trajectory) -> Iterator[str]:
        billed = [e.billed.price for e in run.requests if e.billed is not None]
        if run.cost is not None:
            used, unit = run.cost, "money"
        elif billed:
            used, unit = sum(billed), "tokens at the full price"
        else:
            yield "what the run cost is not known: no price, and no server that bills"
            return
        if used > at_most:
            yield f"over budget: {used:.4g} {unit}, at most {at_most:g}"

    return FunctionCheck(check)


def _without_marks(message: Any) -> Any:
    """Returns a message without marks of an explicit cache, which are no part of what is read."""
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list) or not any("cache_control" in part for part in content):
        return message
    parts = [{k: v for k, v in part.items() if k != "cache_control"} for part in content]
    alone = len(parts) == 1 and parts[0].get("type") == "text"
    return {**message, "content": parts[0]["text"] if alone else parts}


def _only_grown(message: Any, later: Any) -> bool:
    before, now = message.get("content"), (later or {}).get("content")
    transcript = "Observation" in str(now)
    return transcript and isinstance(before, str) and str(now).startswith(before)


def no_secrets(*values: str) -> Check:
    """Checks that no key left its place.

    Neither the values given, nor known secrets, nor texts in the shape of a well-known key may
    be in a request's body or URL, in a header other than those for keys, or in the trace.
    """

    def found(text: str) -> bool:
        return any(value in text for value in values if value) or looks_like_key(text)

    def check(run: Trajectory) -> Iterator[str]:
        for exchange in run.requests:
            number = exchange.request.number
            if found(json.dumps(exchange.request.body, ensure_ascii=False)):
                yield f"request {number} has a key in its body"
            for name, value in exchange.request.headers.items():
                if name not in _MAY_HOLD_KEYS and found(value):
                    kind = " (a name for secrets)" if is_secret_name(name) else ""
                    yield f"request {number} has a key in the header {name!r}{kind}"
        for record in run.records:
            if found(json.dumps(record, ensure_ascii=False, default=str)):
                yield f"the trace has a key in an event {record.get('event')!r}"

    return FunctionCheck(check)
