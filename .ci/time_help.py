"""Prints how long `qwenbelt --help` takes: the median of seven runs, in milliseconds."""

from __future__ import annotations

import statistics
import subprocess
import time


def once() -> float:
    started = time.perf_counter()
    subprocess.run(["qwenbelt", "--help"], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - started) * 1000


print(f"qwenbelt --help: {statistics.median(once() for _ in range(7)):.0f} ms (median of 7)")
