"""What the database knows of a batch: the states of its tasks, and orders to its workers."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import ConfigError, InputError, one_line
from qwenbelt.workflows.batch.dbos_engine import engine_module
from qwenbelt.workflows.batch.durable import MODEL_STEP
from qwenbelt.workflows.batch.liveness import (
    FileLocks,
    Liveness,
    PostgresLocks,
    dead_among,
    unreachable_database,
)
from qwenbelt.workflows.batch.tasks import Task

WAITING, RUNNING, DONE = "ENQUEUED", "PENDING", "SUCCESS"
FAILED, CANCELLED = "ERROR", "CANCELLED"
OPEN = (WAITING, RUNNING)
_CHUNK = 500
_PAUSED = 0


@dataclass(frozen=True)
class BatchStore:
    """Where a batch is kept.

    Attributes:
        name: the batch's name in the database; workers with the same name work on the same batch.
        url: the database, `sqlite:///FILE` or `postgresql://…`.
    """

    name: str
    url: str

    @property
    def is_postgres(self) -> bool:
        """Whether workers on other machines can join."""
        return not self.url.startswith("sqlite")

    def workflow_id(self, task: Task) -> str:
        """Returns the id of a task's workflow; a changed task is another one."""
        return f"{self.name}/{task.id}/{task.key}"

    def queue(self, task: Task) -> str:
        """Returns the name of the queue of a task's endpoint."""
        return f"{self.name}:{_digest(task.options.endpoint or 'default')}"


def store_for(out: Path, url: str | None = None, name: str | None = None) -> BatchStore:
    """Returns the store of a batch: a file in its folder, or a PostgreSQL database.

    Raises:
        ConfigError: the URL is not one of PostgreSQL.
    """
    plain = re.sub(r"[^a-z0-9_-]+", "-", (name or out.resolve().name).lower()).strip("-")
    full = f"qwenbelt-{plain}" if plain else f"qwenbelt-{_digest(str(name or out.resolve()))}"
    if url is None:
        return BatchStore(full, f"sqlite:///{(out / 'batch.sqlite').resolve()}")
    if not url.startswith(("postgresql://", "postgres://")):
        raise ConfigError("--db takes a URL that begins with postgresql://.")
    return BatchStore(full, "postgresql://" + url.partition("://")[2])


def locks_of(store: BatchStore, out: Path) -> Liveness:
    """Returns the locks of a batch's workers.

    Raises:
        ConfigError: the database cannot be reached.
    """
    if store.is_postgres:
        return PostgresLocks(store.url, store.name)
    return FileLocks(out / "workers")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def drop_replaced(store: BatchStore, out: Path, tasks: Sequence[Task]) -> None:
    """Forgets what waits of an earlier form of tasks, before a worker can begin it.

    Raises:
        ConfigError: the database cannot be reached.
    """
    try:
        ledger = Ledger(store)
    except InputError:
        return  # there is no batch yet
    try:
        with contextlib.closing(locks_of(store, out)) as locks:
            ledger.drop_replaced(tasks, locks)
    finally:
        ledger.close()


class Ledger:
    """Reads and changes the state of a batch; needs no worker.

    Args:
        store: where the batch is kept.

    Raises:
        ConfigError: the database cannot be reached, or the `durable` extra is missing.
        InputError: there is no batch yet.
    """

    def __init__(self, store: BatchStore) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        self.store = store
        client, serializer = _client_class()
        file = store.url.removeprefix("sqlite:///")
        if not store.is_postgres and not Path(file).is_file():
            raise InputError(f"{Path(file).parent}: no batch was started there.")
        try:
            self._client = client(
                system_database_url=store.url,
                serializer=serializer,
                application_name=store.name,
                retry_connection_errors=False,
            )
            self._queue_names()
        except SQLAlchemyError as error:
            if "workflow_status" in str(error) or "queues" in str(error):
                raise InputError("No batch of that name was started there.") from error
            raise unreachable_database(error) from error

    def close(self) -> None:
        """Closes the connections."""
        self._client.destroy()

    # -- its state ----------------------------------------------------------------------------

    def open_tasks(self) -> list[Any]:
        """Returns the statuses of the tasks that wait or run."""
        return self._list(status=list(OPEN))

    def counts(self, locks: Liveness | None = None) -> Counter[str]:
        """Returns how many tasks there are of each status.

        Args:
            locks: tell who is alive: what a dead worker was doing waits for another one.
        """
        states = self._list()
        running = {str(state.executor_id) for state in states if state.status == RUNNING}
        dead = dead_among(locks, running) if locks is not None else set()
        return Counter(
            WAITING
            if state.status == RUNNING and str(state.executor_id) in dead
            else str(state.status)
            for state in states
        )

    def known(self) -> set[str]:
        """Returns the ids of all workflows of the batch."""
        return {str(state.workflow_id) for state in self._list()}

    def results(self, tasks: Sequence[Task]) -> Iterator[dict[str, Any]]:
        """Yields the result lines of tasks, in their order; tasks that are not done have none."""
        for start in range(0, len(tasks), _CHUNK):
            chunk = tasks[start : start + _CHUNK]
            ids = [self.store.workflow_id(task) for task in chunk]
            states = self._client.list_workflows(workflow_ids=ids, load_input=False)
            found = {state.workflow_id: state for state in states}
            for task, identity in zip(chunk, ids, strict=True):
                state = found.get(identity)
                if state is not None and state.status not in OPEN:
                    yield result_line(task, state)

    def _list(self, **only: Any) -> list[Any]:
        return list(
            self._client.list_workflows(
                workflow_id_prefix=f"{self.store.name}/",
                load_input=False,
                load_output=False,
                **only,
            )
        )

    # -- orders -------------------------------------------------------------------------------

    @property
    def is_paused(self) -> bool:
        """Whether nothing new is started."""
        queues = [self._client.retrieve_queue(name) for name in self._queue_names()]
        return any(queue and queue.worker_concurrency == _PAUSED for queue in queues)

    def pause(self) -> None:
        """Starts nothing new, on any worker; what runs is finished."""
        self._set_concurrency(_PAUSED)

    def resume(self, in_flight: int) -> int:
        """Goes on after a pause; cancelled tasks wait again. Returns how many of these."""
        self._set_concurrency(in_flight)
        cancelled = self._list(status=CANCELLED)
        for state in cancelled:
            self._client.resume_workflow(state.workflow_id, queue_name=state.queue_name)
        return len(cancelled)

    def cancel(self) -> int:
        """Cancels what waits and what runs; returns how many."""
        ids = [state.workflow_id for state in self.open_tasks()]
        for start in range(0, len(ids), _CHUNK):
            self._client.cancel_workflows(ids[start : start + _CHUNK])
        return len(ids)

    def retry(self) -> int:
        """Lets the failed tasks wait again, each from its last request to the model on."""
        failed = self._list(status=FAILED)
        for state in failed:
            self._client.rewind_workflow(
                state.workflow_id,
                start_step=self._last_request(state.workflow_id),
                queue_name=state.queue_name,
            )
        return len(failed)

    def drop_replaced(self, tasks: Sequence[Task], locks: Liveness) -> int:
        """Forgets what waits of an earlier form of these tasks, as of another model.

        Args:
            tasks: as they are now.
            locks: tell who is alive; what runs elsewhere is left alone.

        Returns:
            How many there were.
        """
        now = {f"{self.store.name}/{task.id}": self.store.workflow_id(task) for task in tasks}
        old = [
            state
            for state in self.open_tasks()
            if now.get(state.workflow_id.rpartition("/")[0], state.workflow_id) != state.workflow_id
        ]
        running = {str(state.executor_id) for state in old if state.status == RUNNING}
        dead = dead_among(locks, running) if running else set()
        ids = [s.workflow_id for s in old if s.status == WAITING or str(s.executor_id) in dead]
        for start in range(0, len(ids), _CHUNK):
            self._client.delete_workflows(ids[start : start + _CHUNK])
        return len(ids)

    def _last_request(self, identity: str) -> int:
        """Returns the step of the last request, or of the first of those that failed at the end."""
        steps = self._client.list_workflow_steps(identity)
        found = 1
        broken = False
        for step in steps:
            if step["function_name"] != MODEL_STEP:
                continue
            failed = isinstance(step["output"], dict) and "error" in step["output"]
            if not (failed and broken):
                found = int(step["function_id"])
            broken = failed
        return found

    def _queue_names(self) -> list[str]:
        queues = self._client.list_queues()
        return [q.name for q in queues if q.name.startswith(f"{self.store.name}:")]

    def _set_concurrency(self, value: int) -> None:
        for name in self._queue_names():
            queue = self._client.retrieve_queue(name)
            if queue is not None:
                queue.set_worker_concurrency(value)


def result_line(task: Task, state: Any) -> dict[str, Any]:
    """Returns a line of `results.jsonl`."""
    ok = state.status == DONE
    line: dict[str, Any] = {"id": task.id, "job": task.kind, "ok": ok, "error": None}
    if not ok:
        error = getattr(state.error, "message", None) or str(state.error or state.status.lower())
        line["error"] = one_line(error)
    output = state.output if ok and isinstance(state.output, dict) else {}
    line["result"] = output.get("result")
    line.update({name: output[name] for name in ("started", "seconds") if name in output})
    return line


def _client_class() -> tuple[Any, Any]:
    module = engine_module()
    return module.DBOSClient, module.DBOSPortableJSONSerializer()
