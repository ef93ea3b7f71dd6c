"""Questions of your own, graded by code: a score with its interval, and what failed why."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from qwenbelt.workflows.evaluation import EvalSetting, evaluate

CASES: list[dict[str, Any]] = [
    {"id": "sum", "question": "What is 6 x 7?", "expect": {"number": 42}},
    {
        "id": "word",
        "question": "Which colour is the sky? One word.",
        "expect": {"contains": "blue"},
    },
    {
        "id": "json",
        "question": "Give the capital of France as JSON with the key name.",
        "expect": {"schema": {"type": "object", "required": ["name"]}},
    },
]


def main(out: str, endpoint: str | None = None) -> None:
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    cases = folder / "cases.jsonl"
    cases.write_text("".join(json.dumps(case) + "\n" for case in CASES), encoding="utf-8")
    found = evaluate(str(cases), folder, EvalSetting(endpoint=endpoint))
    print(found.line())
    for row in found.rows:
        print(row.id, "passed" if row.passed else f"failed: {row.detail}")


if __name__ == "__main__":
    len(sys.argv) > 1 or sys.exit("usage: python evaluate_a_model.py OUT [ENDPOINT]")
    main(*sys.argv[1:])
