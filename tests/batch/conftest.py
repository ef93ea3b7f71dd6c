"""What the tests of durable batches share."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from qwenbelt.testing import ScriptedLLM, ScriptedServer
from qwenbelt.workflows.batch.tasks import TaskOptions

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _engine(request: pytest.FixtureRequest) -> None:
    """Says so where the engine is not installed; reading tasks needs none."""
    if importlib.util.find_spec("dbos") is None and request.path.name != "test_tasks.py":
        pytest.skip("needs the extra durable")


class Model:
    """A scripted endpoint that answers every question, and knows what it was asked."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.seconds = 0.0
        llm = ScriptedLLM(model="m")
        llm.turn(self._reply)
        self.server = ScriptedServer(llm, plays=None)

    async def _reply(self, request: Any) -> dict[str, Any]:
        await asyncio.sleep(self.seconds)
        if any(word in request.user for word in self.down):
            raise ValueError("down")  # becomes an HTTP 400
        return {"answer": f"answer to {request.user}"}

    @property
    def options(self) -> TaskOptions:
        return TaskOptions(endpoint=f"openai:m@{self.server.url}")

    def asked(self) -> list[str]:
        """Returns the questions in the order in which they came."""
        return [exchange.request.user for exchange in self.server.requests]


@pytest.fixture
def model() -> Iterator[Model]:
    made = Model()
    with made.server:
        yield made


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """Six questions."""
    path = tmp_path / "tasks.jsonl"
    lines = [json.dumps({"id": f"t{n}", "ask": f"question {n}"}) for n in range(6)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def lines_of(out: Path) -> list[dict[str, Any]]:
    text = (out / "results.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def throwaway_postgres() -> ModuleType:
    """Returns the benchmarks' module that starts a server of its own."""
    path = ROOT / "benchmarks" / "throwaway_postgres.py"
    spec = importlib.util.spec_from_file_location("throwaway_postgres", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server of this test run's own."""
    module = throwaway_postgres()
    if module.programs() is None:
        pytest.skip("PostgreSQL is not installed (apt install postgresql)")
    with module.postgres() as url:
        yield url
