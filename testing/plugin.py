"""The pytest plugin: options, `*.scenario.yaml` files as tests, fixtures, a network guard.

It is imported in every pytest run of everybody who installs this package, so it imports nothing
heavy, and does nothing until a test asks for it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    import pytest

SUFFIXES = (".scenario.yaml", ".scenario.yml")
_OPTIONS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("golden", {"choices": ("check", "update"), "default": "check"}, "golden traces: update"),
    ("record", {"choices": ("none", "new", "rewrite"), "default": "none"}, "cassettes: record"),
    ("endpoint", {"action": "append", "metavar": "SPEC"}, "play scenarios on a real model"),
    ("repeat", {"type": int, "default": 1, "metavar": "N"}, "play each scenario N times"),
    ("prompt", {"metavar": "FILE"}, "a system message for the agents of scenarios"),
    ("html-report", {"metavar": "FILE"}, "write the outcome of scenarios as a page"),
    ("results", {"metavar": "FILE"}, "write the outcome of scenarios as JSON"),
    ("against", {"metavar": "FILE"}, "fail where scenarios do worse than in these results"),
    ("network", {"choices": ("any", "loopback")}, "what tests may connect to"),
)


def add_options(parser: pytest.Parser, prefix: str) -> None:
    """Adds each option by its name after `prefix`."""
    group = parser.getgroup("qwenbelt", "tests for agents (qwenbelt)")
    for name, settings, words in _OPTIONS:
        dest = f"qwenbelt_{name.replace('-', '_')}"
        group.addoption(f"{prefix}{name}", dest=dest, help=words, **settings)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--qwenbelt-NAME` for each option; short names are for `short_options` to add."""
    add_options(parser, "--qwenbelt-")
    parser.addini("qwenbelt_network", "what tests may connect to: any or loopback", default="any")
    parser.addini("qwenbelt_agent", "module:function that makes the agent of scenarios", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Registers the markers and the rest of the plugin."""
    config.addinivalue_line("markers", "network: the test may reach beyond this machine")
    config.addinivalue_line("markers", "cassette(name, ...): the cassette of the test's endpoint")
    from qwenbelt.testing import fixtures
    from qwenbelt.testing.cassettes.unused import Accounts

    config.pluginmanager.register(fixtures, "qwenbelt-fixtures")
    config.pluginmanager.register(Accounts(config), Accounts.NAME)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collects scenario files."""
    if not file_path.name.endswith(SUFFIXES):
        return None
    from qwenbelt.testing.collection import ScenarioFile

    made: pytest.Collector = ScenarioFile.from_parent(parent, path=file_path)
    return made
