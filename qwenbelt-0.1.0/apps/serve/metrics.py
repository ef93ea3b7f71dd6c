"""Counts in Prometheus' text form (https://prometheus.io/docs/instrumenting/exposition_formats)."""

from __future__ import annotations

import threading
from collections import Counter

_BUCKETS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Metrics:
    """The counts of a server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str]] = Counter()
        self._buckets = [0] * len(_BUCKETS)
        self._seconds = 0.0
        self._count = 0
        self._tokens: Counter[str] = Counter()
        self._calls = 0
        self.running = 0

    def began(self) -> None:
        """A run begins."""
        with self._lock:
            self.running += 1

    def ended(self, seconds: float, tokens_in: int, tokens_out: int, calls: int) -> None:
        """A run has ended after `seconds`."""
        with self._lock:
            self.running -= 1
            self._count += 1
            self._seconds += seconds
            self._tokens["input"] += tokens_in
            self._tokens["output"] += tokens_out
            self._calls += calls
            for place, limit in enumerate(_BUCKETS):
                self._buckets[place] += seconds <= limit

    def answered(self, path: str, status: int) -> None:
        """A request was answered."""
        with self._lock:
            self._requests[path, str(status)] += 1

    def text(self) -> str:
        """Returns all counts."""
        with self._lock:
            lines = ["# TYPE qwenbelt_requests_total counter"]
            for (path, status), count in sorted(self._requests.items()):
                labels = f'{{path="{path}",status="{status}"}}'
                lines.append(f"qwenbelt_requests_total{labels} {count}")
            lines += ["# TYPE qwenbelt_runs_running gauge", f"qwenbelt_runs_running {self.running}"]
            lines.append("# TYPE qwenbelt_run_seconds histogram")
            for limit, count in zip(_BUCKETS, self._buckets, strict=True):
                lines.append(f'qwenbelt_run_seconds_bucket{{le="{limit:g}"}} {count}')
            lines.append(f'qwenbelt_run_seconds_bucket{{le="+Inf"}} {self._count}')
            lines.append(f"qwenbelt_run_seconds_sum {self._seconds:.6f}")
            lines.append(f"qwenbelt_run_seconds_count {self._count}")
            lines.append("# TYPE qwenbelt_tokens_total counter")
            for kind in ("input", "output"):
                lines.append(f'qwenbelt_tokens_total{{kind="{kind}"}} {self._tokens[kind]}')
            lines += ["# TYPE qwenbelt_tool_calls_total counter"]
            lines.append(f"qwenbelt_tool_calls_total {self._calls}")
        return "\n".join(lines) + "\n"
