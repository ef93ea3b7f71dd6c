"""Has a model seen these problems before? Fresh arithmetic problems are the control."""

from __future__ import annotations

import asyncio
import sys

from qwenbelt.workflows.probe import JUDGED, Prober, fresh_problems, read_problems


def main(problems: str, endpoint: str | None = None) -> None:
    given = read_problems(problems)
    probe = asyncio.run(Prober(endpoint).run(given, fresh_problems(len(given))))
    score = probe.tested[JUDGED]
    low, high = score.exact_interval
    print(f"{score.exact} of {score.asked} known word by word ({low:.0%} to {high:.0%})")
    print(f"verdict: {probe.verdict}")


if __name__ == "__main__":
    if len(sys.argv) <= 1:
        sys.exit("usage: python probe_a_model.py PROBLEMS.jsonl [ENDPOINT]")
    main(*sys.argv[1:])
