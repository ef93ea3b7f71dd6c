"""Tests for agents: a scripted endpoint, cassettes, checks on what an agent did.

| I want to … | use |
|---|---|
| script what the model says | `Scenario`, `load_scenario`, `parse_scenario` |
| serve that to any OpenAI client | `ScriptedServer`, the fixture `scripted`, `qwenbelt mock` |
| run an agent and see what it did | `record`, `play`, `Trajectory` |
| check what it did | `called`, `never`, `tool(..) >> tool(..)`, `overlapped`, `answer`, … |
| keep real replies | `CassetteServer`, the fixture `cassette`, `qwenbelt record` and `replay` |
| compare with the last good run | `Golden`, the fixture `golden` |
| save a run as a test | `scenario_text`, `qwenbelt trace to-scenario` |
| keep tests off the network | `loopback_only` |

Nothing here patches anything: the model's HTTP boundary is played, all else runs for real. Names
are loaded when they are first used, so importing this package costs next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own costs milliseconds to import
if TYPE_CHECKING:
    from typing import Any

    from qwenbelt.testing.cassette import (
        Cassette,
    )
    from qwenbelt.testing.checks import (
        Check,
        Step,
        all_ok,
        answer,
        budget,
        called,
        ended,
        never,
        no_repeats,
        once,
        overlapped,
        result,
        tool,
    )
    from qwenbelt.testing.citation_checks import (
        citations,
    )
    from qwenbelt.testing.drawing import (
        lanes,
    )
    from qwenbelt.testing.failures import (
        CassetteMissed,
        CheckFailed,
        ScenarioFailed,
    )
    from qwenbelt.testing.from_trace import (
        scenario_text,
    )
    from qwenbelt.testing.golden import (
        Golden,
    )
    from qwenbelt.testing.matchers import (
        Matcher,
        anything,
        approx,
        contains,
        equals,
        every,
        ignore,
        no,
        one_of,
        regex,
        subset,
    )
    from qwenbelt.testing.network import (
        NetworkBlocked,
        loopback_only,
    )
    from qwenbelt.testing.player import (
        play,
        record,
    )
    from qwenbelt.testing.recorder import (
        CassetteServer,
    )
    from qwenbelt.testing.request import (
        ChatRequest,
    )
    from qwenbelt.testing.scenario import (
        Call,
        Conversation,
        Fault,
        Scenario,
        ScriptedLLM,
        Timing,
        Turn,
        Wire,
    )
    from qwenbelt.testing.scenario_file import (
        load_scenario,
        parse_scenario,
    )
    from qwenbelt.testing.sending import (
        Exchange,
    )
    from qwenbelt.testing.sequences import (
        calls,
    )
    from qwenbelt.testing.server import (
        ScriptedServer,
        start_scripted,
    )
    from qwenbelt.testing.trajectory import (
        MadeCall,
        Trajectory,
    )
    from qwenbelt.testing.wirechecks import (
        append_only,
        delivered,
        no_secrets,
    )

_HOME = {
    "cassette": ("Cassette",),
    "checks": (
        "Check",
        "Step",
        "all_ok",
        "answer",
        "budget",
        "called",
        "ended",
        "never",
        "no_repeats",
        "once",
        "overlapped",
        "result",
        "tool",
    ),
    "citation_checks": ("citations",),
    "failures": ("CassetteMissed", "CheckFailed", "ScenarioFailed"),
    "from_trace": ("scenario_text",),
    "golden": ("Golden",),
    "drawing": ("lanes",),
    "matchers": (
        "Matcher",
        "anything",
        "approx",
        "contains",
        "equals",
        "every",
        "ignore",
        "no",
        "one_of",
        "regex",
        "subset",
    ),
    "network": ("NetworkBlocked", "loopback_only"),
    "player": ("play", "record"),
    "recorder": ("CassetteServer",),
    "request": ("ChatRequest",),
    "scenario": (
        "Call",
        "Conversation",
        "Fault",
        "Scenario",
        "ScriptedLLM",
        "Timing",
        "Turn",
        "Wire",
    ),
    "scenario_file": ("load_scenario", "parse_scenario"),
    "sequences": ("calls",),
    "sending": ("Exchange",),
    "server": ("ScriptedServer", "start_scripted"),
    "trajectory": ("MadeCall", "Trajectory"),
    "wirechecks": ("append_only", "delivered", "no_secrets"),
}
__all__ = [
    "Call",
    "Cassette",
    "CassetteMissed",
    "CassetteServer",
    "ChatRequest",
    "Check",
    "CheckFailed",
    "Conversation",
    "Exchange",
    "Fault",
    "Golden",
    "MadeCall",
    "Matcher",
    "NetworkBlocked",
    "Scenario",
    "ScenarioFailed",
    "ScriptedLLM",
    "ScriptedServer",
    "Step",
    "Timing",
    "Trajectory",
    "Turn",
    "Wire",
    "all_ok",
    "answer",
    "anything",
    "append_only",
    "approx",
    "budget",
    "called",
    "calls",
    "citations",
    "contains",
    "delivered",
    "ended",
    "equals",
    "every",
    "ignore",
    "lanes",
    "load_scenario",
    "loopback_only",
    "never",
    "no",
    "no_repeats",
    "no_secrets",
    "once",
    "one_of",
    "overlapped",
    "parse_scenario",
    "play",
    "record",
    "regex",
    "result",
    "scenario_text",
    "start_scripted",
    "subset",
    "tool",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            import importlib

            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
