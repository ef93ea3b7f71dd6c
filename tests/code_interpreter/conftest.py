"""Kernels for the tests: one host, ended when the tests are over."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.core.events import Item
from qwenbelt.tools.base import ToolContext, result_items
from qwenbelt.tools.code_interpreter.host import close_host
from qwenbelt.tools.code_interpreter.tool import CodeInterpreter

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Passes over this folder's slow tests unless they are asked for."""
    if os.environ.get("QWENBELT_SLOW") or "slow" in (config.option.markexpr or ""):
        return
    skip = pytest.mark.skip(reason="slow: run with -m slow, or with QWENBELT_SLOW=1")
    for item in items:
        if item.path.is_relative_to(HERE) and item.get_closest_marker("slow"):
            item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def _host() -> Iterator[None]:
    yield
    close_host()


class Runner:
    """A tool with a session of its own; calls it and takes its result apart."""

    def __init__(self, folder: Path, cfg: dict[str, Any] | None = None) -> None:
        self.tool = CodeInterpreter({"allow_unsandboxed": True, **(cfg or {})})
        self.reports: list[str] = []
        self.context = ToolContext(
            session=self.tool.session,
            folder=folder,
            report=lambda text, fraction=None: self.reports.append(text),
        )

    def items(self, code: str, **arguments: Any) -> tuple[Item, ...]:
        params = {"code": code, **arguments}
        return result_items(self.tool.call(params, context=self.context))

    def __call__(self, code: str, **arguments: Any) -> str:
        return "\n".join(i.value for i in self.items(code, **arguments) if i.kind == "text")


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A temporary folder whose name leaves room for that of a socket."""
    with tempfile.TemporaryDirectory(prefix="qb", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """A session for tests that do not mind what others left in it."""
    runner = Runner(tmp_path_factory.mktemp("session"))
    yield runner
    runner.tool.close()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Runner]]:
    """Makes sessions that end with the test."""
    made: list[Runner] = []

    def new(cfg: dict[str, Any] | None = None) -> Runner:
        folder = tmp_path / f"session-{len(made)}"
        folder.mkdir()
        made.append(Runner(folder, cfg))
        return made[-1]

    yield new
    for runner in made:
        runner.tool.close()
