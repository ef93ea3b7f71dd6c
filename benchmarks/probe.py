"""The contamination probe: how often its verdict is right, by how much a model has memorised.

    python benchmarks/probe.py [--problems 100] [--repeats 5]

The model is scripted: it knows a share of the problems by heart, and makes the rest up.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import random
import time
from collections.abc import Callable
from typing import Any

from qwenbelt.testing import ScriptedLLM, ScriptedServer
from qwenbelt.workflows.probe.job import JUDGED, Prober
from qwenbelt.workflows.probe.problems import Problem, fresh_problems

NOUNS = "train baker farmer clerk river ladder circle wagon garden bottle tower parcel".split()
VERBS = "carries mixes sells counts crosses climbs paints loads waters fills lifts sorts".split()


def word_problems(count: int, seed: int) -> list[Problem]:
    source = random.Random(seed)
    found = []
    for number in range(count):
        words = [source.choice(NOUNS if n % 2 else VERBS) for n in range(30)]
        words[7::9] = [str(source.randint(10, 99)) for _ in words[7::9]]
        answer = str(source.randint(2, 9999))
        found.append(Problem(f"No. {number}: one {' '.join(words)}. How many?", answer))
    return found


def remembering(known: list[Problem]) -> Callable[[Any], dict[str, str]]:
    def reply(request: Any) -> dict[str, str]:
        instruction, _, start = request.user.partition("\n\n")
        found = next((p for p in known if p.text.startswith(start)), None)
        if "rest of the problem" in instruction:
            return {"answer": found.text[len(start) :] if found else "and so on until evening."}
        return {"answer": f"\\boxed{{{found.answer if found else 42}}}"}

    return reply


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    print("| known by heart | verdicts | word by word at 60 %, 95 % interval | s a probe |")
    print("|---|---|---|---|")
    for share in (0.5, 0.15, 0.05, 0.0):
        verdicts: collections.Counter[str] = collections.Counter()
        started = time.perf_counter()
        for repeat in range(given.repeats):
            problems = word_problems(given.problems, repeat)
            known = random.Random(repeat).sample(problems, round(share * len(problems)))
            llm = ScriptedLLM(model="m")
            llm.turn(remembering(known))
            with ScriptedServer(llm, plays=None) as server:
                work = Prober(f"openai:m@{server.url}").run(problems, fresh_problems(50, repeat))
                made = asyncio.run(work)
            verdicts[made.verdict] += 1
        score = made.tested[JUDGED]
        low, high = score.exact_interval
        seconds = (time.perf_counter() - started) / given.repeats
        told = ", ".join(f"{name} {count}" for name, count in verdicts.items())
        row = f"{score.exact}/{score.asked}, {low:.1%} to {high:.1%}"
        print(f"| {share:.0%} | {told} | {row} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
