"""Valid typed answers of small models, by form, over Berkeley's parameter schemas.

    python benchmarks/typed_answers.py MODEL.gguf --data bfcl_eval/data --out out/typed
    python benchmarks/typed_answers.py --table --out out/typed

Each schema is that of a function, asked with the leaderboard's own question. A line a case is kept:
started again, it goes on where it was. Forms: `constrained` lets the engine hold the reply to the
schema; `tools` offers a tool in the same run.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

from qwenbelt import AnswerInvalid, EndpointError, FnCallAgent
from qwenbelt.workflows.evaluation.bfcl import BerkeleySet

GROUPS = ("simple_python", "multiple", "live_simple", "live_multiple", "simple_java")
FORMS = ("constrained", "tools")
TOKENS = 400


def today() -> str:
    """Tells today's date."""
    return "2024-05-01"


def cases(data: Path | None, limit: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yields name, question and schema of different schemas that ask for something."""
    seen: set[str] = set()
    for case in BerkeleySet(data, GROUPS).cases():
        schema = case.ask["functions"][0]["parameters"]
        key = json.dumps(schema, sort_keys=True)
        if not schema.get("properties") or key in seen:
            continue
        seen.add(key)
        yield case.id, str(case.ask["messages"][-1]["content"]), schema
        if len(seen) == limit:
            return


def asked(model: Path, form: str, question: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Returns what came of one question."""
    settings = {"temperature": 0, "max_tokens": TOKENS, "seed": 1}
    llm = {"model": str(model), "model_type": "qwenbelt", "dialect": "local"}
    llm["engine"] = {"threads": 1, "context_tokens": 4096}
    agent = FnCallAgent([today] if form == "tools" else [], llm={**llm, "generate_cfg": settings})
    began = time.process_time()
    row: dict[str, Any] = {"valid": False, "requests": 0}
    try:
        result = agent.ask(question, answer=schema)
        jsonschema.validate(result.value, schema)
        row |= {"valid": True, "requests": result.usage.requests}
    except (AnswerInvalid, EndpointError, jsonschema.ValidationError) as error:
        row["fault"] = str(error).splitlines()[0][:200]
    return {**row, "cpu": round(time.process_time() - began, 2)}


def table(kept: Path) -> str:
    """Returns the table of all lines that are kept."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for line in kept.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found[row["model"], row["form"]].append(row)
    lines = [
        "| model | form | valid | requests an answer | CPU s an answer |",
        "|---|---|---|---|---|",
    ]
    for (model, form), rows in sorted(found.items()):
        valid = [row for row in rows if row["valid"]]
        requests = sum(row["requests"] for row in valid) / max(1, len(valid))
        cpu = sum(row["cpu"] for row in rows) / len(rows)
        share = f"{len(valid)} / {len(rows)}"
        lines.append(f"| {model} | {form} | {share} | {requests:.2f} | {cpu:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--form", choices=FORMS, default="constrained")
    parser.add_argument("--cpu", type=float, default=600, help="stop after so many CPU seconds")
    parser.add_argument("--table", action="store_true", help="only print what is kept")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    kept = options.out / "answers.jsonl"
    kept.touch()
    if options.model and not options.table:
        lines = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
        done = {(row["model"], row["form"], row["id"]) for row in lines}
        with kept.open("a", encoding="utf-8") as file:
            for name, question, schema in cases(options.data, options.limit):
                key = (options.model.stem, options.form, name)
                if key in done:
                    continue
                if time.process_time() > options.cpu:
                    break
                row = asked(options.model, options.form, question, schema)
                row = {"model": key[0], "form": key[1], "id": name, **row}
                file.write(json.dumps(row) + "\n")
                file.flush()
    print(table(kept))


if __name__ == "__main__":
    main()
