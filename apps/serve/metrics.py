"""What a server counts, for Prometheus; several processes behind one port count together."""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

_BUCKETS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
# read by prometheus_client when it is imported: processes write their counts into files there
SHARED_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """The counts of a server."""

    def __init__(self) -> None:
        self.running = 0  # of this process

    @functools.cached_property
    def _series(self) -> Any:
        return _Series()

    def began(self) -> None:
        """A run begins."""
        self.running += 1
        self._series.running.inc()

    def first_piece(self, seconds: float) -> None:
        """The first words of a run have come."""
        self._series.first.observe(seconds)

    def ended(
        self, seconds: float, tokens_in: int, tokens_out: int, calls: int, failed: bool = False
    ) -> None:
        """A run has ended after `seconds`."""
        series = self._series
        self.running -= 1
        series.running.dec()
        series.seconds.observe(seconds)
        series.tokens.labels("input").inc(tokens_in)
        series.tokens.labels("output").inc(tokens_out)
        series.calls.inc(calls)
        series.failed.inc(failed)

    def answered(self, path: str, status: int) -> None:
        """A request was answered."""
        self._series.requests.labels(path, str(status)).inc()

    def text(self) -> str:
        """Returns all counts in Prometheus' text form."""
        return str(self._series.text())


class _Series:
    """The series, in a registry of their own."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self._registry}
        self.requests = Counter(
            "qwenbelt_requests", "Requests by route and status.", ["path", "status"], **own
        )
        self.running = Gauge(
            "qwenbelt_runs_running", "Runs under way.", multiprocess_mode="livesum", **own
        )
        self.seconds = Histogram(
            "qwenbelt_run_seconds", "How long runs took.", buckets=_BUCKETS, **own
        )
        self.first = Histogram(
            "qwenbelt_first_piece_seconds", "Until a run's first words.", buckets=_BUCKETS, **own
        )
        self.failed = Counter("qwenbelt_runs_failed", "Runs that ended in an error.", **own)
        self.tokens = Counter("qwenbelt_tokens", "Tokens by direction.", ["kind"], **own)
        self.calls = Counter("qwenbelt_tool_calls", "Calls of tools.", **own)

    def text(self) -> str:
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = self._registry
        if os.environ.get(SHARED_VARIABLE):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry).decode("utf-8")


def process_ended(pid: int, folder: str) -> None:
    """Takes what a process that has ended was doing out of the common counts."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]


def log_line(values: Mapping[str, Any]) -> None:
    """Prints a run as a line of JSON on stderr, with the time in UTC."""
    stamp = datetime.fromtimestamp(time.time(), timezone.utc).isoformat(timespec="milliseconds")
    sys.stderr.write(json.dumps({"time": stamp, **values}, ensure_ascii=False) + "\n")
    sys.stderr.flush()
