"""The first request of every task through DashScope's Batch API, at half the price.

Each task is begun without a model, only to learn what it would ask first. These requests go out
as one batch; its replies are kept, and the tasks then find them instead of asking. Whatever a
task asks afterwards, and what the batch had no reply for, is asked in the usual way.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qwenbelt.agents import endpoint
from qwenbelt.agents.models.dashscope import BATCH_LINES, DashScope
from qwenbelt.agents.models.decoding import read_chunk
from qwenbelt.agents.models.deltas import JsonDict, WirePiece
from qwenbelt.core.errors import ConfigError, QwenbeltError
from qwenbelt.core.files import write_text
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.workflows.batch.durable import Steps
from qwenbelt.workflows.batch.jobs import run_task
from qwenbelt.workflows.batch.tasks import Task

EVERY = 30.0  # seconds between two looks at the batch
_KEPT = "replies.jsonl"


class _Begun(Steps):
    """Steps of a task that is begun only to learn its first request."""

    def __init__(self) -> None:
        super().__init__(None)
        self.bodies: list[JsonDict] = []
        self.ahead = self._note

    def run(self, name: str, function: Callable[[], Any]) -> Any:
        """Runs the step, recording nothing."""
        return function()

    def _note(self, body: JsonDict) -> Sequence[WirePiece] | None:
        self.bodies.append(body)
        raise QwenbeltError("begun only to learn its first request")


def replies_ahead(
    tasks: Sequence[Task], out: Path, *, every: float | None = None
) -> Callable[[JsonDict], Sequence[WirePiece] | None]:
    """Gets the replies to the first requests of tasks; started again, it keeps waiting.

    Args:
        tasks: the tasks, all of one DashScope endpoint.
        out: the batch's folder; requests and replies are kept below it.
        every: seconds between two looks at the batch; half a minute when None.

    Returns:
        A function that gives the pieces of the reply to a request's body, or None.

    Raises:
        ConfigError: the endpoint is not DashScope's.
        EndpointError: the service failed.
    """
    folder = out / "dashscope-batch"
    kept = _kept_replies(folder)
    bodies = {
        _digest(body): _whole_request(body) for task in tasks for body in _first_request(task, out)
    }
    missing = {digest: body for digest, body in bodies.items() if digest not in kept}
    digests = sorted(missing)
    for start in range(0, len(digests), BATCH_LINES):
        chunk = digests[start : start + BATCH_LINES]
        pause = EVERY if every is None else every
        found = _ask_service(_service(tasks), [missing[d] for d in chunk], chunk, folder, pause)
        kept.update(found)
        lines = [json.dumps([d, reply], ensure_ascii=False) + "\n" for d, reply in kept.items()]
        write_text(folder / _KEPT, "".join(lines))

    def ahead(body: JsonDict) -> Sequence[WirePiece] | None:
        reply = kept.get(_digest(body))
        return None if reply is None else read_chunk(reply)

    return ahead


def _first_request(task: Task, out: Path) -> list[JsonDict]:
    steps = _Begun()
    with contextlib.suppress(QwenbeltError):  # what else is wrong with the task shows when it runs
        run_task(task, out, steps)
    return steps.bodies[:1]


def _ask_service(
    service: DashScope, bodies: list[JsonDict], digests: list[str], folder: Path, every: float
) -> dict[str, JsonDict]:
    place = folder / hashlib.sha256("".join(digests).encode()).hexdigest()[:12]
    try:
        state = service.submit_batch(bodies, place)
        while not state.is_over:
            state = service.wait_batch(state.id, every=every)
        replies = service.collect_batch(state)
    finally:
        service.close()
    return {digests[n]: reply for n, reply in replies.items() if isinstance(reply, dict)}


def _service(tasks: Sequence[Task]) -> DashScope:
    specs = {task.options.endpoint for task in tasks}
    cfgs = [endpoint(spec) for spec in specs]
    urls = {str(cfg.get("model_server")) for cfg in cfgs}
    if any(cfg.get("dialect") != "dashscope" for cfg in cfgs) or len(urls) != 1:
        raise ConfigError("The Batch API is DashScope's.", fix="Give -e dashscope:MODEL.")
    return DashScope(url=urls.pop())


def _whole_request(body: Mapping[str, Any]) -> JsonDict:
    """Returns the body of a request for a whole reply, which is all that a batch gives."""
    kept = {k: v for k, v in body.items() if k not in ("stream", "stream_options")}
    return kept if body.get("enable_thinking") else {**kept, "enable_thinking": False}


def _digest(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _kept_replies(folder: Path) -> dict[str, JsonDict]:
    path = folder / _KEPT
    if not path.is_file():
        return {}
    return dict(loads_bounded(line) for line in path.read_text(encoding="utf-8").splitlines())
