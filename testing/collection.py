"""Scenario files as pytest tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from qwenbelt.core.errors import InputError, QwenbeltError
from qwenbelt.testing.cassettes.unused import PROPERTY
from qwenbelt.testing.errors import CheckFailed
from qwenbelt.testing.runner import play
from qwenbelt.testing.scenarios.scenario import Scenario
from qwenbelt.testing.scenarios.yaml_file import load_scenario
from qwenbelt.testing.trials.outcomes import ScenarioTrials, Trial

SCRIPTED = "scripted"


class ScenarioFile(pytest.File):
    """A scenario file: one test, or one an endpoint when endpoints are given."""

    def collect(self) -> Iterator[pytest.Item]:
        """Returns the tests of the file."""
        name = self.path.name.split(".scenario.")[0]
        specs = self.config.getoption("qwenbelt_endpoint") or [SCRIPTED]
        for spec in specs:
            title = name if specs == [SCRIPTED] else f"{name}[{spec}]"
            yield ScenarioItem.from_parent(self, name=title, endpoint=spec)


class ScenarioItem(pytest.Item):
    """A scenario that is played, once or several times."""

    def __init__(self, *, endpoint: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.endpoint = endpoint

    def runtest(self) -> None:
        """Plays the scenario; fails when fewer trials pass than the scenario wants."""
        scenario = self._scenario()
        repeat = self.config.getoption("qwenbelt_repeat")
        llm = None
        if self.endpoint != SCRIPTED:
            from qwenbelt.agents import endpoint

            llm = endpoint(self.endpoint)
        outcome = ScenarioTrials(scenario.name, self.endpoint)
        for _ in range(max(repeat, 1)):
            outcome.trials.append(trial(scenario, llm))
        self._note(outcome)
        if outcome.rate < scenario.rate:
            problem = next(t.problem for t in outcome.trials if t.problem)
            if len(outcome.trials) == 1:
                raise CheckFailed(problem)
            raise CheckFailed(f"{outcome.line()}\nwanted {scenario.rate:.0%}; first:\n{problem}")

    def _scenario(self) -> Scenario:
        scenario = load_scenario(self.path)
        scenario.agent = scenario.agent or self.config.getini("qwenbelt_agent") or None
        prompt = self.config.getoption("qwenbelt_prompt")
        if prompt:
            with open(prompt, encoding="utf-8") as file:
                scenario.system = file.read()
        return scenario

    def _note(self, outcome: ScenarioTrials) -> None:
        low, high = outcome.interval
        self.user_properties += [
            (PROPERTY, json.dumps(outcome.to_dict(), ensure_ascii=False)),
            ("pass_rate", f"{outcome.rate:.4f}"),
            ("pass_rate_low", f"{low:.4f}"),
            ("pass_rate_high", f"{high:.4f}"),
            ("median_seconds", f"{outcome.seconds:.4f}"),
            ("mean_tokens", f"{outcome.tokens:.1f}"),
        ]

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Shows what did not hold, without the kit's own frames."""
        if isinstance(excinfo.value, (CheckFailed, QwenbeltError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Returns where the test is."""
        return self.path, 0, f"scenario {self.name}"


def trial(scenario: Scenario, llm: dict[str, Any] | None = None, agent: Any = None) -> Trial:
    """Plays a scenario once and returns how it went."""
    kept: list[Any] = []
    try:
        play(scenario, agent, llm=None if llm is None else dict(llm), runs=kept)
    except (CheckFailed, QwenbeltError) as error:
        if isinstance(error, InputError):
            raise  # the scenario itself is wrong; another trial would not help
        return Trial.of(kept, str(error) or type(error).__name__)
    return Trial.of(kept)
