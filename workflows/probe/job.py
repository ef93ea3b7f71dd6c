"""The probe itself: ask, compare, count, judge."""

from __future__ import annotations

import asyncio
import collections
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from qwenbelt.agents import Budget, FnCallAgent
from qwenbelt.core.errors import EndpointError, InputError, one_line
from qwenbelt.core.events import Done
from qwenbelt.core.language import Language, detect_language
from qwenbelt.testing.trials.intervals import difference_interval, wilson_interval
from qwenbelt.workflows.probe.comparing import (
    answer_in,
    comparison_tokens,
    is_exact,
    rouge_l,
    same_answer,
    without_echo,
)
from qwenbelt.workflows.probe.problems import Problem
from qwenbelt.workflows.probe.strings import say

SHARES = (0.4, 0.6, 0.8)
JUDGED = 0.6  # the share that the verdict is based on: at 80 % a rest may be guessed
SHARE = 0.05  # of the problems; fewer that are known count as none
_SPARE_TOKENS = 64
_ANSWER_TOKENS = 1024
_FAILURES = 3  # in a row, before the first success: the endpoint itself is at fault

Verdict = Literal["seen", "answers", "clear", "unsure"]


@dataclass
class ProbeScore:
    """What came out for one group of problems at one share of their text."""

    asked: int = 0
    exact: int = 0
    rouge: float = 0.0
    answered: int = 0
    right: int = 0

    @property
    def exact_interval(self) -> tuple[float, float]:
        """The 95 % interval of the share known word by word."""
        return wilson_interval(self.exact, self.asked)

    @property
    def right_interval(self) -> tuple[float, float]:
        """The 95 % interval of the share answered rightly."""
        return wilson_interval(self.right, self.answered)

    def to_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        return {
            "problems": self.asked,
            "exact": self.exact,
            "exact_interval": [round(v, 4) for v in self.exact_interval],
            "rouge_l": round(self.rouge / self.asked, 4) if self.asked else None,
            "answers": self.answered,
            "right": self.right,
            "right_interval": [round(v, 4) for v in self.right_interval],
        }


@dataclass
class WindowProbe:
    """A finished probe.

    Attributes:
        tested: scores of the tested problems by the share of the text that was given.
        control: the same of fresh problems.
        guess: the share of answers that guessing the commonest answer would get right.
        skipped: problems too short for the test.
        failed: requests that the endpoint refused.
        known: texts of tested problems that are known word by word from `JUDGED` of their text.
    """

    model: str
    tested: dict[float, ProbeScore]
    control: dict[float, ProbeScore]
    guess: float = 0.0
    share: float = SHARE
    skipped: int = 0
    failed: int = 0
    problem: str = ""
    known: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """What the counts say, at the 95 % level."""
        tested, control = self.tested[JUDGED], self.control[JUDGED]
        low, high = tested.exact_interval
        above = difference_interval(tested.exact, tested.asked, control.exact, control.asked)[0]
        if low >= self.share and above > 0:
            return "seen"
        excess = difference_interval(tested.right, tested.answered, control.right, control.answered)
        if tested.right_interval[0] >= self.guess + self.share and excess[0] > 0:
            return "answers"
        return "clear" if high <= self.share else "unsure"

    @property
    def enough(self) -> int:
        """How many problems would be enough for "clear" when none is known."""
        square = 1.96**2
        return math.ceil(square * (1 - self.share) / self.share)

    def to_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        return {
            "model": self.model,
            "verdict": self.verdict,
            "confidence": 0.95,
            "share": self.share,
            "guess": round(self.guess, 4),
            "tested": {str(share): score.to_dict() for share, score in self.tested.items()},
            "control": {str(share): score.to_dict() for share, score in self.control.items()},
            "skipped": self.skipped,
            "failed": self.failed,
            "known": self.known,
        }


class Prober:
    """Asks one model.

    Args:
        llm: an llm dict or endpoint spec; it is asked at temperature 0 and without thoughts.
        in_flight: requests at the same time.
    """

    def __init__(self, llm: Any, *, in_flight: int = 8) -> None:
        from qwenbelt.agents import endpoint

        cfg = dict(endpoint(llm) if llm is None or isinstance(llm, str) else llm)
        settings = {**cfg.get("generate_cfg", {}), "temperature": 0, "thinking": False}
        self._cfg = {**cfg, "generate_cfg": settings}
        self.model = str(cfg.get("model"))
        self._slots = asyncio.Semaphore(in_flight)
        self._successes = self._failures = 0

    async def run(
        self,
        problems: Sequence[Problem],
        control: Sequence[Problem],
        *,
        share: float = SHARE,
        tell: Callable[[], None] = lambda: None,
    ) -> WindowProbe:
        """Probes the model with the problems, and with fresh ones as the control.

        Args:
            problems: what the model may have seen.
            control: what it cannot have seen.
            share: the share of known problems from which on they count as seen.
            tell: called after every request.

        Raises:
            InputError: all problems are too short.
            EndpointError: the endpoint fails from the beginning.
        """
        usable = [p for p in problems if p.is_long_enough(JUDGED)]
        if not usable:
            raise InputError("All problems are too short: after 60 % of the text nothing is left.")
        answers = collections.Counter(p.answer.casefold() for p in usable if p.answer)
        probe = WindowProbe(
            self.model,
            {s: ProbeScore() for s in SHARES},
            {s: ProbeScore() for s in SHARES},
            guess=max(answers.values()) / answers.total() if answers else 0.0,
            share=share,
            skipped=len(problems) - len(usable),
        )
        work = [
            self._one(problem, given, probe, scores, tell)
            for group, scores in ((usable, probe.tested), (control, probe.control))
            for problem in group
            for given in SHARES
            if problem.is_long_enough(given)
        ]
        tasks = [asyncio.ensure_future(one) for one in work]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return probe

    async def _one(
        self,
        problem: Problem,
        given: float,
        probe: WindowProbe,
        scores: dict[float, ProbeScore],
        tell: Callable[[], None],
    ) -> None:
        start, rest = problem.cut(given)
        language: Language = detect_language(problem.text)
        wanted, score = comparison_tokens(rest), scores[given]
        limit = 3 * len(wanted) + _SPARE_TOKENS
        written = await self._ask(say("complete_prompt", language, start=start), limit, probe)
        tell()
        if written is not None:
            found = without_echo(written, start)
            exact = is_exact(found, wanted)
            score.asked += 1
            score.exact += exact
            score.rouge += rouge_l(found, wanted)
            if exact and given == JUDGED and scores is probe.tested:
                probe.known.append(one_line(problem.text, 200))
        if problem.answer:
            said = await self._ask(
                say("answer_prompt", language, start=start), _ANSWER_TOKENS, probe
            )
            tell()
            if said is not None:
                score.answered += 1
                score.right += same_answer(answer_in(said), problem.answer)

    async def _ask(self, question: str, limit: int, probe: WindowProbe) -> str | None:
        settings = {**self._cfg["generate_cfg"], "max_tokens": limit}
        async with self._slots:
            agent = FnCallAgent(
                llm={**self._cfg, "generate_cfg": settings}, budget=Budget(model_calls=1)
            )
            try:
                text = await _text(agent, question)
            except EndpointError as error:
                self._failures += 1
                probe.failed, probe.problem = probe.failed + 1, one_line(error)
                if not self._successes and (self._failures >= _FAILURES or not error.retryable):
                    raise
                return None
        self._successes += 1
        return text


async def _text(agent: FnCallAgent, question: str) -> str:
    text = ""
    async for event in agent.stream([{"role": "user", "content": question}]):
        if isinstance(event, Done):
            text = event.text
            if event.reason == "error":
                raise EndpointError(event.detail)
    return text
