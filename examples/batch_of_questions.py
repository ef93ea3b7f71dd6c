"""Many questions as durable workflows: kill it, start it again, and it goes on where it was."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from qwenbelt.workflows.batch import BatchProgress, TaskOptions, batch

QUESTIONS = ["What is a torque wrench for?", "What is a feeler gauge for?"]


def tell(progress: BatchProgress) -> None:
    print(f"{progress.done} of {progress.total} done", file=sys.stderr)


def main(out: str, endpoint: str | None = None) -> None:
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    tasks = folder / "tasks.jsonl"
    tasks.write_text("".join(json.dumps({"ask": q}) + "\n" for q in QUESTIONS), encoding="utf-8")
    # db="postgresql://…" lets workers on other machines join
    made = batch(tasks, folder, options=TaskOptions(endpoint=endpoint), tell=tell)
    for line in made.results.read_text(encoding="utf-8").splitlines():
        result = json.loads(line)
        print(result["id"], result["result"]["answer"] if result["ok"] else result["error"])


if __name__ == "__main__":
    if len(sys.argv) <= 1:
        sys.exit("usage: python batch_of_questions.py OUT [ENDPOINT]")
    main(*sys.argv[1:])
