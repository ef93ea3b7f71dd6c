"""Reads a run from what a scripted endpoint saw of it, for agents that write no trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qwenbelt.testing.checks.made_call import MadeCall, value_of
from qwenbelt.testing.scenarios.request import text_of
from qwenbelt.testing.server.billing import CHARACTERS_A_TOKEN

if TYPE_CHECKING:
    from qwenbelt.testing.checks.trajectory import Trajectory
    from qwenbelt.testing.server.reply_sender import Exchange


def fill_observed(run: Trajectory, exchanges: Sequence[Exchange]) -> None:
    """Fills a trajectory: calls from the replies, results from the requests that follow."""
    run.requests = list(exchanges)
    served = [e for e in exchanges if e.reply is not None and e.finished is not None]
    run.turns = len(served)
    run.retries = len(exchanges) - len(served)
    if exchanges:
        first = exchanges[0].request
        run.asked, run.model = first.first_user, str(first.body.get("model", ""))
        ends = [e.finished for e in exchanges if e.finished is not None]
        run.began = exchanges[0].received
        run.seconds = max(ends, default=exchanges[0].received) - exchanges[0].received
    for turn, exchange in enumerate(served, 1):
        _read_exchange(run, turn, exchange)
    _pair_results(run, exchanges)
    if served and not served[-1].calls:
        run.answer, run.reason = text_of((served[-1].reply or {}).get("content")), "answer"


def _read_exchange(run: Trajectory, turn: int, exchange: Exchange) -> None:
    for number, call in enumerate(exchange.calls):
        sealed = exchange.sealed[number] if number < len(exchange.sealed) else None
        call_id = exchange.ids[number] if number < len(exchange.ids) else ""
        value: Any = value_of(call.text)
        run.calls.append(MadeCall(call_id, call.name, value, turn, sealed))
    usage = len(text_of((exchange.reply or {}).get("content"))) // CHARACTERS_A_TOKEN
    run.output_tokens += usage


def _pair_results(run: Trajectory, exchanges: Sequence[Exchange]) -> None:
    """Pairs calls with results: by id where there is one, else in order."""
    longest = max((e.request.results for e in exchanges), key=len, default=())
    by_id = {result.call_id: result for result in longest if result.call_id}
    unnamed = [result for result in longest if not result.call_id]
    for call in run.calls:
        found = by_id.get(call.call_id)
        if found is None:
            found = next((r for r in unnamed if r.name == call.name), None)
            if found is not None:
                unnamed.remove(found)
        if found is not None:
            call.result = found.text
