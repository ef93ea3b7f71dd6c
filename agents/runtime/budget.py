"""Budgets of a run, what was spent of them, and the end of loops."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from qwenbelt.agents.models.deltas import Tokens, ToolCall
from qwenbelt.agents.models.prices import Price, price_of
from qwenbelt.agents.prompts import BUDGET_OF_CALLS, NO_MORE_CALLS, TOO_MANY_CALLS
from qwenbelt.agents.runtime.outcome import FAILED, CallOutcome
from qwenbelt.core.errors import ConfigError, LimitExceeded
from qwenbelt.core.events import Usage
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.language import Language
from qwenbelt.core.settings import load_settings

_GRACE = 60.0  # seconds for the answer, once the time of a run has passed


@dataclass(frozen=True)
class Budget:
    """What a run may use up; None is no limit.

    Attributes:
        model_calls: replies of the model; for the last one it is instructed to answer.
        tool_calls: calls beyond these are not run, and the model is instructed to answer.
        tokens: input and output tokens together, as the endpoint counts them; looked at between
            model calls, as `money` is.
        seconds: wall time; tools that run when it has passed are stopped, and the model is told
            to answer. A reply that goes on a minute later is cut off.
        money: in the currency of `prices`.
        prices: money for a million input tokens and a million output tokens; without it what
            `agents.prices` knows of the model.
        repeats: this many identical calls with identical results, in replies one after another, are
            a loop, which is stopped; 0 for never.
    """

    model_calls: int = field(default_factory=lambda: load_settings().max_model_calls)
    tool_calls: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    money: float | None = None
    prices: tuple[float, float] | None = None
    currency: str = ""
    repeats: int = field(default_factory=lambda: load_settings().max_repeats)

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ConfigError: a bound is not above zero.
        """
        for name in ("model_calls", "tokens", "seconds", "money"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"Budget.{name} must be above 0, not {value!r}.")


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a run ends, as `Done` reports it: a word, and a line for people."""

    reason: str
    detail: str = ""


class Spending:
    """What a run has used up.

    Args:
        budget: of the run.
        url: of its endpoint.
        model: its name there.
        above: of the run in whose call this one is; its budget bounds all runs inside it together.

    Raises:
        ConfigError: the budget bounds money, and the model's price is not known.
    """

    def __init__(self, budget: Budget, url: str, model: str, above: Spending | None = None) -> None:
        self.budget = budget
        self._above = above
        own = budget.prices
        self.price = Price(*own, budget.currency) if own else price_of(url, model)
        if budget.money is not None and self.price is None:
            raise ConfigError(
                f"Budget.money needs the price of {model}.",
                fix=f'Budget(prices=...), or "{model}" = [IN, OUT] in qwenbelt.toml, [prices].',
            )
        self.model_calls = 0
        self.tool_calls = 0
        self.tokens = 0
        self.money = 0.0
        self._started = time.monotonic()
        self._repeated: dict[tuple[str, str], tuple[str, int]] = {}

    def use(self, url: str, model: str) -> None:
        """Counts what comes at the price of a model, where the budget names no price."""
        if not self.budget.prices:
            self.price = price_of(url, model) or self.price

    def last_call(self) -> Ending | None:
        """Returns why the next model call is the last that the budgets allow, or None."""
        if self.model_calls + 1 >= self.budget.model_calls:
            most = self.budget.model_calls
            return self.used_up() or Ending(
                "model_calls", f"the budget of {most} model calls is used up"
            )
        return self.used_up()

    def used_up(self) -> Ending | None:
        """Returns what is used up of this run's budget or of those above it, or None."""
        for name, amount in self._used().items():
            most = getattr(self.budget, name)
            if most is not None and amount >= most:
                return Ending(name, f"the budget of {most:g} {name} is used up")
        return self._above.used_up() if self._above is not None else None

    def _used(self) -> dict[str, float]:
        return {
            "tool_calls": self.tool_calls,
            "tokens": self.tokens,
            "seconds": time.monotonic() - self._started,
            "money": self.money,
        }

    def calls_left(self) -> int | None:
        """Returns how many tool calls the budget still allows; None for any number."""
        most = self.budget.tool_calls
        return None if most is None else max(0, most - self.tool_calls)

    def allowed(self, most: int, last: Ending | None, language: Language) -> tuple[int, str]:
        """Returns how many calls the next reply may have, and what is said of those beyond.

        Args:
            most: what the limits allow of one reply.
            last: why it is the last reply, if it is.
            language: of the words.
        """
        if last is not None:
            return 0, NO_MORE_CALLS[language]
        left = self.calls_left()
        if left is not None and left < most:
            return left, BUDGET_OF_CALLS[language].format(most=self.budget.tool_calls)
        return most, TOO_MANY_CALLS[language].format(most=most)

    def claim(self, language: Language) -> str:
        """Counts a call at the runs above; returns why their budgets do not allow it, or "".

        Runs that are side by side take from one budget, so each call is counted before it starts.
        """
        above = self._above
        if above is None:
            return ""
        refusal = above.refusal(0, language) or above.claim(language)
        if not refusal:
            above.tool_calls += 1
        return refusal

    def count_nested(self, others: int, language: Language) -> str:
        """Counts a call from code; returns why the budget does not allow it, or "".

        Args:
            others: calls of the same reply, which are counted at its end.
            language: of the words.
        """
        refusal = self.refusal(others, language) or self.claim(language)
        if not refusal:
            self.tool_calls += 1
        return refusal

    def refusal(self, others: int, language: Language) -> str:
        """Returns why this run's own budget allows no further tool call, or ""."""
        most = self.budget.tool_calls
        if most is None or self.tool_calls + others < most:
            return ""
        return BUDGET_OF_CALLS[language].format(most=most)

    def seconds_left(self) -> float | None:
        """Returns the seconds that the budget still allows; None for any number."""
        most = self.budget.seconds
        return None if most is None else max(0.0, self._started + most - time.monotonic())

    def reply_seconds(self) -> float | None:
        """Returns how long a reply may still take; None for any time."""
        most = self.budget.seconds
        return None if most is None else self._started + most + _GRACE - time.monotonic()

    def add_tokens(self, tokens: Tokens) -> float | None:
        """Counts the tokens of a reply; returns their cost when prices are known."""
        self.tokens += tokens.input + tokens.output
        if self.price is None:
            return None
        cost = self.price.of(tokens)
        self.money += cost
        return cost

    @property
    def cost(self) -> float | None:
        """What the run has cost so far, subagents included; None when no price is known."""
        return self.money if self.price is not None else None

    def add_usage(self, usage: Usage) -> None:
        """Counts what a run inside a call has used."""
        self.tokens += usage.input_tokens + usage.output_tokens
        self.money += usage.cost or 0.0

    def left(self, own: Budget) -> Budget:
        """Returns a budget within what is left of this one.

        Raises:
            LimitExceeded: nothing is left.
        """
        bounds: dict[str, Any] = {}
        for name, amount in self._used().items():
            most = getattr(self.budget, name)
            if most is None:
                continue
            if most <= amount:
                raise LimitExceeded(f"The budget of {most:g} {name} is used up.")
            given = getattr(own, name)
            bounds[name] = most - amount if given is None else min(given, most - amount)
        if "money" in bounds and own.prices is None and self.price is not None:
            bounds["prices"] = (self.price.input, self.price.output)
        return dataclasses.replace(own, **bounds)

    def repeated(
        self, calls: Sequence[ToolCall], outcomes: Sequence[CallOutcome]
    ) -> tuple[str, int]:
        """Counts calls that repeat one of the reply before with the same result.

        A call counts once a reply, so several equal calls side by side are not a loop.

        Returns:
            The tool's name and how often, once that is too often; otherwise "" and 0.
        """
        if not self.budget.repeats:
            return "", 0
        # of failures the text may tell which one it was ("Cell In[2]")
        seen = {
            (call.name, _canonical_arguments(call.arguments)): (
                outcome.status if outcome.status in FAILED else outcome.text
            )
            for call, outcome in zip(calls, outcomes, strict=True)
        }
        before, self._repeated = self._repeated, {}
        for key, text in seen.items():
            known, times = before.get(key, ("", 0))
            times = times + 1 if known == text else 1
            self._repeated[key] = (text, times)
            if times >= self.budget.repeats:
                return key[0], times
        return "", 0


def _canonical_arguments(arguments: str) -> str:
    try:
        return json.dumps(loads_bounded(arguments), sort_keys=True)
    except (json.JSONDecodeError, RecursionError):
        return arguments
