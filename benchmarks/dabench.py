"""InfiAgent-DABench: closed-form questions about tables, answered by an agent that runs code.

    python benchmarks/dabench.py --data FOLDER                           # a scripted oracle
    python benchmarks/dabench.py --data FOLDER --model SPEC --first 10   # a model

FOLDER holds `da-dev-questions.jsonl`, `da-dev-labels.jsonl` and `da-dev-tables/`. The oracle runs
one cell that reads the question's table and prints the labels' values, and says what was printed:
with it the harness must count every question as right. Each is asked with code mode off and on;
then the cell asks a tool for the table's columns.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from qwenbelt import Budget, CodeInterpreter, FnCallAgent, Result, endpoint
from qwenbelt.core.errors import QwenbeltError
from qwenbelt.core.events import ModelFinished, ToolFinished
from qwenbelt.testing import Scenario, ScriptedServer

PAIR = re.compile(r"@([\w ./%()-]+?)\[(.*?)\]", re.DOTALL)


def load(folder: Path) -> list[dict[str, Any]]:
    """Returns the questions with their labels."""

    def lines(name: str) -> list[dict[str, Any]]:
        text = (folder / f"da-dev-{name}.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines() if line.strip()]

    labels = {row["id"]: row["common_answers"] for row in lines("labels")}
    return [{**row, "labels": labels[row["id"]]} for row in lines("questions")]


def asked(row: dict[str, Any]) -> str:
    """Returns a question as it is put to a model."""
    return (
        f"The file {row['file_name']} is in the working folder. {row['question']}\n"
        f"{row['constraints']}\nAnswer in this form: {row['format']}"
    )


def is_right(row: dict[str, Any], answer: str) -> bool:
    """Says whether all values of a question stand in an answer; numbers to one in a million."""
    given: dict[str, list[str]] = {}
    for name, value in PAIR.findall(answer):
        given.setdefault(name.strip(), []).append(value.strip())
    return all(
        any(same(value, str(want)) for value in given.get(name, ())) for name, want in row["labels"]
    )


def same(given: str, want: str) -> bool:
    """Compares two values as the benchmark does: as numbers where both are."""
    if given == want:  # "nan" is no number that equals itself
        return True
    try:
        return abs(float(given) - float(want)) < 1e-6
    except ValueError:
        return False


def table_columns(file: str) -> list[str]:
    """Lists the columns of a table.

    Args:
        file: the path of a CSV file.
    """
    with Path(file).open(encoding="utf-8", errors="replace") as table:
        return [name.strip() for name in table.readline().split(",")]


def oracle(row: dict[str, Any], path: Path, *, code_mode: bool) -> Scenario:
    """Returns a model that opens the table in a cell, prints what the labels say, and says it."""
    said = " ".join(f"@{name}[{value}]" for name, value in row["labels"])
    code = f"import os\nassert os.path.getsize({row['file_name']!r}) > 0\nprint({said!r})"
    if code_mode:
        code = f"assert tools.table_columns(file={str(path)!r})\n{code}"
    return Scenario().turn(calls=[("code_interpreter", {"code": code})]).answer(said)


@contextmanager
def model_for(row: dict[str, Any], spec: str, path: Path, *, code_mode: bool) -> Iterator[Any]:
    """Gives the model that answers a question."""
    if spec.endswith(".gguf"):
        yield {"model_type": "qwenbelt", "model": spec, "dialect": "local"}
        return
    if spec:
        yield endpoint(spec)
        return
    with ScriptedServer(oracle(row, path, code_mode=code_mode)) as server:
        yield {**server.llm, "model_type": "qwenbelt"}


def play(
    rows: list[dict[str, Any]],
    data: Path,
    spec: str,
    *,
    code_mode: bool,
    seconds: float | None = None,
) -> dict[str, Any]:
    """Asks all questions, each in a folder of its own; returns the figures."""
    interpreter, common = CodeInterpreter(), Path(tempfile.mkdtemp())
    began, right, requests, tokens, wrong = time.monotonic(), 0, 0, 0, []
    for row in rows:
        with tempfile.TemporaryDirectory() as place, ExitStack() as around:
            table = data / "da-dev-tables" / row["file_name"]
            # the oracle's cells leave nothing behind, so that one session does for all of them
            own, folder = (f"q{row['id']}", Path(place)) if spec else ("oracle", common)
            path = Path(shutil.copy(table, folder))
            llm = around.enter_context(model_for(row, spec, path, code_mode=code_mode))
            budget = Budget(model_calls=8, seconds=seconds)
            agent = FnCallAgent(
                [table_columns, interpreter], llm, code_mode=code_mode, budget=budget
            )
            agent.evidence_first = True  # as `qwenbelt run -f` asks
            try:
                files = [path] if spec else []
                result = agent.ask(asked(row), files, folder=folder, session=own)
            except QwenbeltError as error:  # a question that fails is wrong; the next is asked
                result = Result(text=str(error))
            requests += sum(isinstance(event, ModelFinished) for event in result.trace)
            tokens += result.usage.input_tokens + result.usage.output_tokens
            ran = [e for e in result.trace if isinstance(e, ToolFinished) and e.ok]
        text = result.text if ran or spec else "the cell did not run"
        if is_right(row, text):
            right += 1
        else:
            wrong.append((row["id"], text[-160:]))
    interpreter.close()
    shutil.rmtree(common, ignore_errors=True)
    took = time.monotonic() - began
    return {"asked": len(rows), "right": right, "seconds": took, "wrong": wrong,
            "requests": requests, "tokens": tokens}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--model", default="", help="an endpoint's spec or a GGUF file; without it the oracle"
    )
    parser.add_argument("--first", type=int, default=0, help="how many questions; 0 for all")
    parser.add_argument("--seconds", type=float, help="for one question")
    options = parser.parse_args()
    rows = load(options.data)
    rows = rows[: options.first or len(rows)]
    print("| model | code mode | asked | right | requests | tokens | seconds |")
    print("|---|---|---|---|---|---|---|")
    for code_mode in (False, True):
        asked_with = {"code_mode": code_mode, "seconds": options.seconds}
        found = play(rows, options.data, options.model, **asked_with)
        name = options.model.partition("@")[0].rpartition("/")[2] or "oracle"
        mode = "on" if code_mode else "off"
        print(
            f"| {name} | {mode} | {found['asked']} | "
            f"{found['right']} ({found['right'] / found['asked']:.0%}) | {found['requests']} | "
            f"{found['tokens']} | {found['seconds']:.0f} |"
        )
        for number, text in found["wrong"][:5]:
            print(f"<!-- {number}: {text!r} -->")


if __name__ == "__main__":
    main()
