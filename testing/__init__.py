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

from qwenbelt.core.lazy import lazy

TYPE_CHECKING = False  # typing's own costs milliseconds to import
if TYPE_CHECKING:
    from qwenbelt.testing.cassettes.cassette import (
        Cassette,
    )
    from qwenbelt.testing.cassettes.recorder import (
        CassetteServer,
    )
    from qwenbelt.testing.checks.checks import (
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
    from qwenbelt.testing.checks.citations import (
        citations,
    )
    from qwenbelt.testing.checks.golden import (
        Golden,
    )
    from qwenbelt.testing.checks.grounding import grounded
    from qwenbelt.testing.checks.lanes import (
        lanes,
    )
    from qwenbelt.testing.checks.matchers import (
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
    from qwenbelt.testing.checks.sequences import (
        calls,
    )
    from qwenbelt.testing.checks.trajectory import (
        MadeCall,
        Trajectory,
    )
    from qwenbelt.testing.checks.wire import (
        append_only,
        cost,
        delivered,
        no_secrets,
        prefix,
    )
    from qwenbelt.testing.errors import (
        CassetteMissed,
        CheckFailed,
        ScenarioFailed,
    )
    from qwenbelt.testing.network import (
        NetworkBlocked,
        loopback_only,
    )
    from qwenbelt.testing.runner import (
        play,
        record,
    )
    from qwenbelt.testing.scenarios.from_trace import (
        scenario_text,
    )
    from qwenbelt.testing.scenarios.request import (
        ChatRequest,
    )
    from qwenbelt.testing.scenarios.scenario import (
        Call,
        Conversation,
        Fault,
        Scenario,
        ScriptedLLM,
        Timing,
        Turn,
        Wire,
    )
    from qwenbelt.testing.scenarios.yaml_file import (
        load_scenario,
        parse_scenario,
    )
    from qwenbelt.testing.server.reply_sender import (
        Exchange,
    )
    from qwenbelt.testing.server.server import (
        ScriptedServer,
        start_scripted,
    )

__getattr__, __dir__ = lazy(
    __name__,
    {
        "qwenbelt.testing.cassettes.cassette": ("Cassette",),
        "qwenbelt.testing.cassettes.recorder": ("CassetteServer",),
        "qwenbelt.testing.checks.checks": (
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
        "qwenbelt.testing.checks.citations": ("citations",),
        "qwenbelt.testing.checks.grounding": ("grounded",),
        "qwenbelt.testing.checks.golden": ("Golden",),
        "qwenbelt.testing.checks.lanes": ("lanes",),
        "qwenbelt.testing.checks.matchers": (
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
        "qwenbelt.testing.checks.sequences": ("calls",),
        "qwenbelt.testing.checks.trajectory": (
            "MadeCall",
            "Trajectory",
        ),
        "qwenbelt.testing.checks.wire": (
            "append_only",
            "cost",
            "delivered",
            "no_secrets",
            "prefix",
        ),
        "qwenbelt.testing.errors": (
            "CassetteMissed",
            "CheckFailed",
            "ScenarioFailed",
        ),
        "qwenbelt.testing.network": (
            "NetworkBlocked",
            "loopback_only",
        ),
        "qwenbelt.testing.runner": (
            "play",
            "record",
        ),
        "qwenbelt.testing.scenarios.from_trace": ("scenario_text",),
        "qwenbelt.testing.scenarios.request": ("ChatRequest",),
        "qwenbelt.testing.scenarios.scenario": (
            "Call",
            "Conversation",
            "Fault",
            "Scenario",
            "ScriptedLLM",
            "Timing",
            "Turn",
            "Wire",
        ),
        "qwenbelt.testing.scenarios.yaml_file": (
            "load_scenario",
            "parse_scenario",
        ),
        "qwenbelt.testing.server.reply_sender": ("Exchange",),
        "qwenbelt.testing.server.server": (
            "ScriptedServer",
            "start_scripted",
        ),
    },
)
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
    "cost",
    "delivered",
    "ended",
    "equals",
    "every",
    "grounded",
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
    "prefix",
    "record",
    "regex",
    "result",
    "scenario_text",
    "start_scripted",
    "subset",
    "tool",
]
