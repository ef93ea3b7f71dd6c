"""Commands that run by the clock."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.core.errors import ConfigError, InputError
from qwenbelt.workflows.schedule.book import ScheduleBook
from qwenbelt.workflows.schedule.runner import ScheduleRunner
from qwenbelt.workflows.schedule.when import cron_of, next_times

PATIENCE = 120.0


@pytest.mark.parametrize(
    ("text", "cron"),
    [
        ("every Monday 8:00", "0 8 * * 1"),
        ("every monday and thursday at 9:30", "30 9 * * 1,4"),
        ("every mon,wed 7:00", "0 7 * * 1,3"),
        ("every day 8am", "0 8 * * *"),
        ("daily at 8 pm", "0 20 * * *"),
        ("every day 12 am", "0 0 * * *"),
        ("every weekday 18:00", "0 18 * * 1-5"),
        ("every 15 minutes", "*/15 * * * *"),
        ("hourly", "0 * * * *"),
        ("every 2 hours", "0 */2 * * *"),
        ("monthly on the 1st at 8:00", "0 8 1 * *"),
        ("每天8：00", "0 8 * * *"),
        ("每周一、周四 9:30", "30 9 * * 1,4"),
        ("每星期天 20:00", "0 20 * * 0"),
        ("每个工作日上午9点30分", "30 9 * * 1-5"),
        ("每15分钟", "*/15 * * * *"),
        ("每个月15号下午3点", "0 15 15 * *"),
        ("0 8 * * 1", "0 8 * * 1"),
        ("*/5 * * * * *", "*/5 * * * * *"),
    ],
)
def test_times_as_people_write_them(text: str, cron: str) -> None:
    assert cron_of(text) == cron


@pytest.mark.parametrize(
    "text",
    ["soon", "every", "", "25:00", "每天25:00", "every 7 minutes", "every 2 days", "every t 8:00"],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        cron_of(text)


@pytest.mark.parametrize(
    "text",
    ["every Monday 8:75", "99 8 * * 1", "every month on the 45th 8:00", "every hour at 8:00"],
)
def test_times_that_there_are_not_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        cron_of(text)


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        cron = cron_of(text)
    except InputError:
        return
    assert next_times(cron, datetime(2026, 1, 1, tzinfo=timezone.utc), 1)


@pytest.fixture(autouse=True)
def _own_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QWENBELT_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("QWENBELT_LANG", "en")


def _command(*words: str) -> list[str]:
    return [sys.executable, "-c", "from qwenbelt.apps.cli import main; main()", "schedule", *words]


def _said(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(*words), capture_output=True, text=True, check=False)


@pytest.fixture
def started() -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts a process that runs schedules, and waits until it says so."""
    running: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(_command("start"), stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Schedules run")
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _until(look: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("it did not happen")


def _last(name: str, place: str | None = None) -> dict[str, Any]:
    with ScheduleBook(place) as book:
        return book.get(name).last or {}


def test_schedules_are_listed_paused_and_removed() -> None:
    with ScheduleBook() as book:
        made = book.add("every Monday 8:00", ["run", "What?"], zone="Asia/Shanghai")
        assert (made.name, made.cron, made.zone) == ("run", "0 8 * * 1", "Asia/Shanghai")
        assert made.following is not None
        assert (made.following.weekday(), made.following.hour) == (0, 8)
        assert made.last is None
        assert book.add("每天 8:00", ["run", "还有呢？"]).name == "run-2"
        book.pause("run")
        assert [(entry.paused, bool(entry.following)) for entry in book.list()] == [
            (True, False),
            (False, True),
        ]
        book.pause("run", False)
        book.remove("run-2")
        assert [entry.name for entry in book.list()] == ["run"]
        for mistake in (
            lambda: book.add("every day 8:00", ["serve"]),
            lambda: book.add("every day 8:00", ["run", "x"], name="run"),
            lambda: book.add("every day 8:00", ["run", "x"], name="a/b"),
            lambda: book.add("every day 8:00", ["run", "x"], zone="Mars/Base"),
            lambda: book.remove("other"),
        ):
            with pytest.raises(InputError):
                mistake()


def test_a_command_runs_when_it_is_due(
    started: Callable[[], subprocess.Popen[str]], model: Any
) -> None:
    question = ["run", "How are you?", "-e", model.options.endpoint]
    added = _said("--name", "asked", "--json", "* * * * * *", *question)
    assert [row["name"] for row in json.loads(added.stdout)] == ["asked"], added.stderr
    with ScheduleBook() as book:
        book.add("every day 8:00", ["run", "x", "-e", "nowhere"], name="failing")
        book.run_now("failing")
    process = started()
    assert _until(lambda: _last("failing").get("status") == "failed")
    done = _until(lambda: [e for e in (_last("asked"),) if e.get("status") == "done"])[0]
    assert done["exit"] == 0
    assert "answer to How are you?" in Path(done["log"]).read_text(encoding="utf-8")
    assert _last("failing")["exit"] != 0
    with pytest.raises(ConfigError, match="Another process"):
        ScheduleRunner(None, Path("logs")).start()
    process.terminate()
    assert process.wait(PATIENCE) == 0


def test_a_killed_run_goes_on_at_the_next_start(
    started: Callable[[], subprocess.Popen[str]], model: Any
) -> None:
    model.seconds = 600.0
    with ScheduleBook() as book:
        book.add("every day 8:00", ["run", "Slow?", "-e", model.options.endpoint], name="slow")
        book.run_now("slow")
    process = started()
    _until(model.asked)
    process.kill()
    process.wait()
    assert _last("slow")["status"] == "running"
    model.seconds = 0.0
    started()
    assert _until(lambda: _last("slow").get("status") == "done")
    assert model.asked() == ["Slow?", "Slow?"], "once by each process"


@pytest.mark.postgres
def test_schedules_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    with ScheduleBook(postgres_url) as book:
        book.add("every day 8:00", ["run", "x", "-e", "nowhere"], name="failing")
        book.run_now("failing")
    runner = ScheduleRunner(postgres_url, tmp_path / "logs")
    runner.start()
    try:
        with pytest.raises(ConfigError, match="Another process"):
            ScheduleRunner(postgres_url, tmp_path / "logs").start()
        assert _until(lambda: _last("failing", postgres_url).get("status") == "failed")
    finally:
        runner.close()


def test_schedule_without_add_and_with_a_mistyped_command() -> None:
    added = _said("every Monday 8:00", "run", "x", "--json")
    assert added.returncode == 0, added.stderr
    assert "0 8 * * 1" in added.stdout
    assert "qwenbelt run x --json" in added.stdout
    mistyped = _said("lits")
    assert mistyped.returncode == 2
    assert "Did you mean list" in mistyped.stderr
    assert [row["words"] for row in json.loads(_said("list", "--json").stdout)] == [
        ["run", "x", "--json"]
    ]
    assert _said("remove", "run").returncode == 0
    assert "There are no schedules" in _said("list").stderr
