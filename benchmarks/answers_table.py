"""The whole table of right answers with real small models: unattended, and resumed where it was.

    python benchmarks/answers_table.py --data DATA --out out --model 1.5b=MODEL.gguf --plan
    python benchmarks/answers_table.py --data DATA --out out --model 1.5b=MODEL.gguf --hours 8
    python benchmarks/answers_table.py --out out --show

DATA has `filings/` (needed.jsonl, questions.jsonl, pdfs/), `dabench/`, `acebench/` and `bfcl/` (the
`data` folder of bfcl-eval); what is missing is left out and told. `--requests` is a folder with
requests.jsonl ({"id", "question", "files", "expect"}) and its files. Each step is a `qwenbelt eval`
with a folder of its own, so that a step that was killed goes on where it was, and a done one asks
nothing. One server at a time, at a fixed port (its address is a part of what was asked).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llama_server import served

from qwenbelt.tools.documents.grounding import abstains

PORT, CONTEXT = 18734, 16384
FORMS, PEERS = ("native", "nous", "constrained"), ("openai", "qwen-agent")
BERKELEY = (
    *("simple_python", "multiple", "parallel", "parallel_multiple", "irrelevance"),
    *("live_simple", "live_multiple", "live_irrelevance"),
)
EACH = 40  # cases of a category


@dataclass(frozen=True)
class Step:
    """One evaluation.

    Attributes:
        name: of its folder and its row.
        arguments: of `qwenbelt eval`.
        cases: how many.
        seconds: what one takes on one idle core with a model of 1.5B, roughly.
    """

    name: str
    arguments: tuple[str, ...]
    cases: int
    seconds: float


def steps_of(
    data: Path,
    requests: Path | None,
    out: Path,
    *,
    categories: Sequence[str] = BERKELEY,
    each: int = EACH,
) -> Iterator[Step]:
    """Yields what can be run with the data that is there, the most telling first."""
    if requests is not None:
        tools = ("-t", "code_interpreter", "-t", "plot")
        where = (str(requests / "requests.jsonl"), "--data", str(requests))
        yield Step("requests", (*where, *tools), 8, 120)
    filings = data / "filings"
    if (filings / "needed.jsonl").is_file():
        questions = _questions(filings, out)
        count = len(questions.read_text("utf-8").splitlines())
        for agent, seconds in (("assistant", 75), ("report", 150)):
            arguments = (str(questions), "--data", str(filings / "pdfs"), "-a", agent)
            yield Step(f"filings-{agent}", arguments, count, seconds)
    if (data / "dabench").is_dir():
        given = ("dabench", "--data", str(data / "dabench"), "--limit", str(each))
        yield Step("dabench", given, each, 120)
    if (data / "bfcl").is_dir():
        groups = [word for group in categories for word in ("--group", group)]
        count = each * len(categories)
        given = ("--data", str(data / "bfcl"), *groups, "--limit", str(count))
        for form in FORMS:
            yield Step(f"bfcl-{form}", ("bfcl", *given, "--tool-format", form), count, 15)
        for peer in PEERS:
            yield Step(f"bfcl-{peer}", ("--peer", peer, *given), count, 15)
    if (data / "acebench").is_dir():
        given = ("acebench", "--data", str(data / "acebench"), "--limit", "80")
        yield Step("acebench", given, 80, 25)


def _questions(filings: Path, out: Path) -> Path:
    """Writes the questions with what a right answer holds, as `qwenbelt eval` reads them."""
    known = {row["id"]: row for row in _rows(filings / "questions.jsonl")}
    path = out / "filings.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for row in _rows(filings / "needed.jsonl"):
        row = {"question": known.get(row["id"], {}).get("question"), **row}
        lines.append(json.dumps(row, ensure_ascii=False))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def run_step(step: Step, folder: Path, model: str, end: float) -> bool:
    """Runs a step until it is done or the time is over; returns whether it is done."""
    url = f"http://127.0.0.1:{PORT}/v1"
    tokens = ("--max-tokens", "160" if step.name.startswith("bfcl") else "600")
    command = [sys.executable, "-c", "from qwenbelt.apps.cli import main; main()", "eval"]
    command += ["-e", f"llamacpp:{model}@{url}", "--in-flight", "1", "--retry"]
    if step.arguments[0] == "--peer":
        command = [sys.executable, str(Path(__file__).with_name("eval_peers.py"))]
        command += ["--url", url, "--model", model]
    command += [*step.arguments, "--out", str(folder), *tokens]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        code = process.wait(max(1.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)  # nothing is lost: every reply is recorded
        process.wait()
        return False
    return code == 0


def row_of(name: str, folder: Path) -> str:
    """Returns a step's row of the table, or what it lacks."""
    report = folder / "report.json"
    if not report.is_file():
        return f"| {name} | not run | | | | | |"
    found = json.loads(report.read_text("utf-8"))
    answers = {row["id"]: row.get("result") or {} for row in _rows(folder / "results.jsonl")}
    silent = wrong = 0
    for row in found["rows"]:
        if row["passed"]:
            continue
        said = str(answers.get(f"{row['id']}#{row['trial']}", {}).get("answer") or "")
        told = not said.strip() or abstains(said) or "NOT verified" in said[:600]
        silent, wrong = silent + told, wrong + (not told)
    right = sum(row["passed"] for row in found["rows"])
    low, high = found["interval"]
    share = f"{right} of {len(found['rows'])} ({low:.2f}-{high:.2f})"
    cost = f"{found['tokens'] // max(1, len(found['rows']))}"
    seconds = sum(row["seconds"] for row in found["rows"]) / max(1, len(found["rows"]))
    return (
        f"| {name} | {share} | {wrong} | {silent} | {found['requests']} | {cost} | {seconds:.0f} |"
    )


def show(out: Path) -> None:
    """Prints the table of all models in a folder, from what is there."""
    print("| step | right (95 %) | wrong | abstained | requests | tokens a case | s a case |")
    print("|---|---|---|---|---|---|---|")
    for model in sorted(path for path in out.iterdir() if path.is_dir()):
        for folder in sorted(path for path in model.iterdir() if path.is_dir()):
            print(row_of(f"{model.name} {folder.name}", folder))


def main() -> None:
    """Runs what is not done yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--requests", type=Path)
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FILE.gguf")
    parser.add_argument("--only", action="append", default=[], metavar="STEP")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--category", action="append", choices=BERKELEY, help="of Berkeley")
    parser.add_argument("--each", type=int, default=EACH, help="cases of a category, of DABench")
    parser.add_argument("--served", action="store_true", help=f"a server listens at port {PORT}")
    parser.add_argument("--plan", action="store_true", help="say what it would take")
    parser.add_argument("--show", action="store_true", help="print the table and end")
    args = parser.parse_args()
    if args.show:
        return show(args.out)
    if args.data is None or not args.model:
        parser.error("needs --data and --model")
    chosen = {"categories": args.category or BERKELEY, "each": args.each}
    steps = list(steps_of(args.data, args.requests, args.out, **chosen))
    steps = [s for s in steps if not args.only or s.name in args.only]
    hours = sum(step.cases * step.seconds for step in steps) / 3600
    for step in steps:
        print(f"{step.name}: {step.cases} cases, about {step.cases * step.seconds / 3600:.1f} h")
    print(f"about {hours:.1f} h for each model of 1.5B on one idle core; a third for 0.5B")
    if args.plan:
        return None
    os.environ.setdefault("OPENAI_API_KEY", "none")
    end = time.monotonic() + args.hours * 3600
    for name, _, file in (given.partition("=") for given in args.model):
        server = served(file, context=CONTEXT, threads=args.threads, port=PORT)
        with nullcontext() if args.served else server:
            for step in steps:
                if time.monotonic() < end:
                    done = run_step(step, args.out / name / step.name, name, end)
                    print(f"{name} {step.name}: {'done' if done else 'not done'}", flush=True)
    return show(args.out)


if __name__ == "__main__":
    main()
