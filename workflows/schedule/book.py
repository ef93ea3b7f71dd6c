"""The schedules of a store: what is to run, when, and how it went last time."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from qwenbelt.core.errors import ConfigError, InputError
from qwenbelt.core.settings import load_settings
from qwenbelt.workflows.batch.dbos_engine import engine_module
from qwenbelt.workflows.batch.engine import write_ahead
from qwenbelt.workflows.batch.liveness import unreachable_database
from qwenbelt.workflows.schedule.when import cron_of, next_times

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

APPLICATION = "qwenbelt-schedules"
WORKFLOW = "qwenbelt.scheduled"
# runs are recovered only by a runner of the same version: change it with what a run means
VERSION = "schedules.1"
# started by hand or for ever, they would never end and so never come again
_ENDLESS = {"schedule", "gui", "chat", "serve", "mock"}
_LOOKED_BACK = 20  # runs; those that were skipped say nothing
_NAME = re.compile(r"[\w-]{1,60}")


@dataclass(frozen=True)
class Scheduled:
    """A command that runs by the clock.

    Attributes:
        name: unique in its store.
        when: what the person wrote.
        cron: the same as a cron expression.
        zone: the IANA name of the time zone in which it is read.
        words: the command, without the program's name.
        folder: where it runs.
        paused: whether it is left out for now.
        following: when it runs next; None while paused.
        last: how it went last time, `{"at", "status", "exit", "log"}`, or None.
    """

    name: str
    when: str
    cron: str
    zone: str
    words: tuple[str, ...]
    folder: str
    paused: bool
    following: datetime | None
    last: dict[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        """Returns it ready for JSON."""
        following = self.following.isoformat() if self.following else None
        return {**vars(self), "words": list(self.words), "following": following}


def store_url(place: str | None) -> str:
    """Returns the URL of a store: a SQLite file, by default in the workspace, or PostgreSQL."""
    if place is None:
        folder = load_settings().workspace
        folder.mkdir(parents=True, exist_ok=True)
        place = str(folder / "schedules.sqlite")
    if place.startswith(("postgresql://", "postgres://")):
        return "postgresql://" + place.partition("://")[2]
    return f"sqlite:///{Path(place).expanduser().resolve()}"


def local_zone() -> str:
    """Returns the IANA name of this machine's time zone; UTC where it has none."""
    named = os.environ.get("TZ", "").lstrip(":")
    if not named:
        with contextlib.suppress(OSError):
            named = os.readlink("/etc/localtime").partition("zoneinfo/")[2]
    return named if _is_zone(named) else "UTC"


def _is_zone(name: str) -> bool:
    try:
        return bool(name) and bool(ZoneInfo(name))
    except (OSError, ValueError, KeyError):  # a KeyError where it is not known
        return False


class ScheduleBook:
    """Reads and changes the schedules of a store; use it in a `with` statement.

    Args:
        place: a SQLite file or `postgresql://…`; a file in the workspace by default.

    Raises:
        ConfigError: the database cannot be used, or the `durable` extra is missing.
    """

    def __init__(self, place: str | None = None) -> None:
        self.url = store_url(place)
        module = engine_module()
        if self.url.startswith("sqlite"):
            write_ahead(self.url.removeprefix("sqlite:///"))
        self._client = module.DBOSClient(
            system_database_url=self.url,
            serializer=module.DBOSPortableJSONSerializer(),
            application_name=APPLICATION,
            lazy=True,
            retry_connection_errors=False,
        )

    def __enter__(self) -> Self:
        # the client itself makes no tables, and knows no version before something has run
        self._guarded(self._client._sys_db.run_migrations)
        self._guarded(lambda: self._client._sys_db.create_application_version(VERSION))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.destroy()

    def add(
        self,
        when: str,
        words: Sequence[str],
        *,
        name: str | None = None,
        zone: str | None = None,
        catch_up: bool = False,
    ) -> Scheduled:
        """Schedules a command of the command line.

        Args:
            when: for example "every Monday 8:00", "每天 8:00", or a cron expression.
            words: the command, for example `["run", "What is new?", "-f", "news.pdf"]`.
            name: its name; the command's by default.
            zone: the time zone's IANA name; the machine's by default.
            catch_up: run what was missed while nothing ran schedules, when that begins again.

        Raises:
            InputError: the time, the command, the name or the zone is not one.
        """
        cron = cron_of(when)
        if not words or words[0] in _ENDLESS or words[0].startswith("-"):
            raise InputError(
                f"{' '.join(words) or 'Nothing'}: this cannot be scheduled.",
                fix="Give a command that ends, for example run, report, research or batch.",
            )
        if zone is not None and not _is_zone(zone):
            raise InputError(f"{zone!r} is no time zone.", fix='Write e.g. "Asia/Shanghai".')
        known = {entry.name for entry in self.list()}
        if name is None:
            name = next(n for n in _names(words[0]) if n not in known)
        elif not _NAME.fullmatch(name):
            raise InputError(f"{name!r}: a name has letters, digits, - and _ (at most 60).")
        elif name in known:
            raise InputError(
                f"There is a schedule {name!r} already.", fix="Remove it, or take another name."
            )
        table = {"when": when, "words": list(words), "folder": str(Path.cwd())}
        self._guarded(
            lambda: self._client.create_schedule(
                schedule_name=name,
                workflow_name=WORKFLOW,
                schedule=cron,
                context={**table, "name": name},
                automatic_backfill=catch_up,
                cron_timezone=zone or local_zone(),
            )
        )
        return self.get(name)

    def list(self) -> list[Scheduled]:
        """Returns all schedules, by name."""
        rows = self._guarded(lambda: self._client.list_schedules(workflow_name=WORKFLOW))
        return sorted((self._entry(row) for row in rows), key=lambda entry: entry.name)

    def get(self, name: str) -> Scheduled:
        """Returns one schedule.

        Raises:
            InputError: there is none of this name.
        """
        entries = self.list()
        for entry in entries:
            if entry.name == name:
                return entry
        names = ", ".join(entry.name for entry in entries)
        raise InputError(
            f"There is no schedule {name!r}.",
            fix=f"There are: {names}."
            if names
            else 'Add one: qwenbelt schedule "every day 8:00" …',
        )

    def remove(self, name: str) -> None:
        """Removes a schedule; what runs goes on.

        Raises:
            InputError: there is none of this name.
        """
        self.get(name)
        self._guarded(lambda: self._client.delete_schedule(name))

    def pause(self, name: str, paused: bool = True) -> None:
        """Leaves a schedule out until it is resumed.

        Raises:
            InputError: there is none of this name.
        """
        self.get(name)
        change = self._client.pause_schedule if paused else self._client.resume_schedule
        self._guarded(lambda: change(name))

    def run_now(self, name: str) -> None:
        """Lets a schedule run once as soon as something runs schedules.

        Raises:
            InputError: there is none of this name.
        """
        self.get(name)
        self._guarded(lambda: self._client.trigger_schedule(name))

    def _entry(self, row: dict[str, Any]) -> Scheduled:
        context = row["context"] if isinstance(row["context"], dict) else {}
        zone = row.get("cron_timezone") or "UTC"
        paused = row["status"] != "ACTIVE"
        times = [] if paused else next_times(row["schedule"], datetime.now(ZoneInfo(zone)), 1)
        return Scheduled(
            name=row["schedule_name"],
            when=str(context.get("when", "")),
            cron=row["schedule"],
            zone=zone,
            words=tuple(map(str, context.get("words", ()))),
            folder=str(context.get("folder", "")),
            paused=paused,
            following=times[0] if times else None,
            last=self._last(row["schedule_name"]),
        )

    def _last(self, name: str) -> dict[str, Any] | None:
        """Returns the run that ended last, else the one that runs or waits."""
        rows = self._guarded(
            lambda: self._client.list_workflows(
                schedule_name=name, limit=_LOOKED_BACK, sort_desc=True, load_input=False
            )
        )
        runs = [_run(row) for row in rows]
        ended = [run for run in runs if run["status"] in ("done", "failed")]
        return next(iter(ended or runs), None)

    def _guarded(self, function: Callable[[], Any]) -> Any:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            return function()
        except (SQLAlchemyError, ConfigError) as error:
            raise unreachable_database(error) from error


def _run(row: Any) -> dict[str, Any]:
    output = row.output if isinstance(row.output, dict) else {}
    at = datetime.fromtimestamp(row.created_at / 1000).astimezone().isoformat()
    waiting = {"PENDING": "running", "ENQUEUED": "waiting"}
    status = output.get("status") or waiting.get(row.status, "failed")
    return {"at": at, "status": status, "exit": output.get("exit"), "log": output.get("log")}


def _names(word: str) -> Any:
    yield word
    for number in range(2, 10_000):
        yield f"{word}-{number}"
