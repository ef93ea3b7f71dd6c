"""What the tests of `ask`, hooks, subagents and sessions share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import typst

from qwenbelt import FnCallAgent
from qwenbelt.testing import Scenario, ScriptedServer

PAPER = """
#set page(width: 12cm, height: 8cm)
= Output of the mill
Coal grew most. The mean tensile strength of lot A is 412 MPa.
#pagebreak()
Lot B has 398 MPa.
"""


class Served:
    """Agents before scripted models, and what the models were asked."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.servers: list[ScriptedServer] = []

    def __call__(
        self,
        scenario: Scenario,
        tools: Any = (),
        kind: type[FnCallAgent] = FnCallAgent,
        plays: int | None = 1,
        **settings: Any,
    ) -> FnCallAgent:
        server = self._stack.enter_context(ScriptedServer(scenario, plays=plays))
        self.servers.append(server)
        llm = {"model": "m", "model_server": server.url, "api_key": "k"}
        return kind(list(tools), llm=llm, **settings)

    @property
    def asked(self) -> list[Any]:
        return [exchange.request for server in self.servers for exchange in server.requests]


@pytest.fixture
def served() -> Iterator[Served]:
    with ExitStack() as stack:
        yield Served(stack)


@pytest.fixture(scope="session")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("paper") / "mill.pdf"
    path.write_bytes(typst.compile(PAPER.encode(), format="pdf"))
    return path


Agents = Callable[..., FnCallAgent]
