"""Runs with sessions, killed at any event: nothing that was kept is repeated, nothing is lost."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "documents"))
from cluster import store_place

ROOT = Path(__file__).resolve().parents[3]
KILLS = 5  # benchmarks/kill_sessions.py makes fifty


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with store_place(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def killing() -> ModuleType:
    """The benchmark that makes fifty kills."""
    spec = importlib.util.spec_from_file_location(
        "kill_sessions", ROOT / "benchmarks" / "kill_sessions.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.postgres
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_killed_at_any_event_nothing_kept_is_repeated_or_lost(
    place: str, killing: ModuleType, tmp_path: Path
) -> None:
    found = killing.Killing(place, tmp_path, seed=3)
    found.run(KILLS)
    assert found.faults == []
    assert found.counts["kills"] == KILLS
    assert found.counts["replies kept at a kill"] > 0
