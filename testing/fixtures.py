"""The fixtures of the pytest plugin, and its guard around tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwenbelt.testing.cassettes.unused import Accounts
from qwenbelt.testing.errors import CheckFailed

if TYPE_CHECKING:
    from qwenbelt.testing.cassettes.recorder import CassetteServer
    from qwenbelt.testing.checks.golden import Golden
    from qwenbelt.testing.server.server import ScriptedServer

GOLDEN, CASSETTES = "golden", "cassettes"


def _kept(request: pytest.FixtureRequest, folder: str, name: str) -> Path:
    """Returns where a test's file is kept: FOLDER/MODULE/NAME beside the test's module."""
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip("-")
    return Path(request.path).parent / folder / Path(request.path).stem / safe


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedServer]]:
    """A function that serves a scenario (object, path or YAML); all turns must be played."""
    from qwenbelt.testing.server.server import ScriptedServer

    with contextlib.ExitStack() as stack:
        servers: list[ScriptedServer] = []

        def serve(scenario: Any, **options: Any) -> ScriptedServer:
            server = stack.enter_context(ScriptedServer(scenario, **options))
            servers.append(server)
            return server

        yield serve
        for server in servers:
            _complete(server)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Iterator[Golden]:
    """The test's golden file, below `golden/` beside the test's module."""
    from qwenbelt.testing.checks.golden import Golden

    update = request.config.getoption("qwenbelt_golden") == "update"
    kept = Golden(_kept(request, GOLDEN, f"{request.node.name}.md"), update=update)
    yield kept
    Accounts.of(request.config).used.update(kept.used)


@pytest.fixture
def cassette(request: pytest.FixtureRequest) -> Iterator[CassetteServer]:
    """An endpoint that answers from the test's cassette, below `cassettes/`.

    `@pytest.mark.cassette("name", upstream=..., ignore=[...])` names the file and the endpoint to
    record from; without `upstream` that is `--qwenbelt-endpoint`.
    """
    from qwenbelt.testing.cassettes.recorder import CassetteServer

    mark = request.node.get_closest_marker("cassette")
    name = mark.args[0] if mark is not None and mark.args else request.node.name
    options = dict(mark.kwargs) if mark is not None else {}
    record = request.config.getoption("qwenbelt_record")
    specs = request.config.getoption("qwenbelt_endpoint")
    if record != "none" and specs and "upstream" not in options:
        from qwenbelt.testing.cassettes.upstream import upstream_of

        options.update(upstream_of(specs[0]))
    path = _kept(request, CASSETTES, f"{name}.cassette.yaml")
    with CassetteServer(path, record=record, **options) as server:
        yield server
        Accounts.of(request.config).used.add(path)
        _complete(server)


def _complete(server: ScriptedServer | CassetteServer) -> None:
    """Fails the test without the kit's own frames."""
    problem = ""
    try:
        server.assert_complete()
    except CheckFailed as error:
        problem = str(error)
    if problem:
        pytest.fail(problem, pytrace=False)


@pytest.fixture
def loopback_only() -> Iterator[None]:
    """Refuses connections beyond this machine while the test runs."""
    from qwenbelt.testing.network import loopback_only as guard

    with guard():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Any:
    """Guards the network while a test with its fixtures runs, where that is asked for."""
    config = item.config
    wanted = config.getoption("qwenbelt_network") or config.getini("qwenbelt_network")
    if wanted != "loopback" or item.get_closest_marker("network"):
        return (yield)
    from qwenbelt.testing.network import loopback_only as guard

    with guard():
        return (yield)
