r"""Other clients on the cases of `qwenbelt eval bfcl`: the same prompts, limits and checker.

    pip install --no-deps bfcl-eval
    python benchmarks/eval_peers.py --peer qwen-agent --url http://127.0.0.1:8080/v1 \
        --group simple_python --group irrelevance --limit 80 --out out/peer

`qwen-agent` is its own chat model with functions (what its agents ask), `openai` the plain client
with declared tools. Each case is asked once; `attempts.jsonl` in the folder keeps what was replied,
so that a run that was stopped goes on where it was. `report.json` is as `qwenbelt eval` writes it,
so that `qwenbelt eval --compare` pairs the two.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from qwenbelt.workflows.evaluation.cases import EvalCase
from qwenbelt.workflows.evaluation.outcome import EvalOutcome, EvalTrial
from qwenbelt.workflows.evaluation.sets import set_of

Record = dict[str, Any]
LONGEST = 500  # characters of an error that are kept


def qwen_agent(url: str, model: str, tokens: int) -> Callable[[EvalCase], Record]:
    """Returns how qwen-agent's chat model is asked; it counts no tokens."""
    from qwen_agent.llm import get_chat_model

    llm = {"model_type": "oai", "model": model, "model_server": url, "api_key": "none"}
    settings = {"temperature": 0, "max_tokens": tokens, "seed": 1}
    chat = get_chat_model({**llm, "generate_cfg": settings})

    def ask(case: EvalCase) -> Record:
        messages, functions = list(case.ask["messages"]), case.ask["functions"]
        *_, replied = chat.chat(messages, functions=functions)
        calls = [message["function_call"] for message in replied if message.get("function_call")]
        text = "".join(str(message.get("content") or "") for message in replied)
        return {"answer": text, "calls": [dict(call) for call in calls], "tokens": 0}

    return ask


def openai_client(url: str, model: str, tokens: int) -> Callable[[EvalCase], Record]:
    """Returns how the plain client is asked."""
    from openai import OpenAI

    client = OpenAI(base_url=url, api_key="none", timeout=900, max_retries=0)

    def ask(case: EvalCase) -> Record:
        tools: Any = [{"type": "function", "function": f} for f in case.ask["functions"]]
        made = client.chat.completions.create(
            model=model,
            messages=list(case.ask["messages"]),
            tools=tools,
            temperature=0,
            max_tokens=tokens,
        )
        message = made.choices[0].message
        named: list[Any] = [call for call in message.tool_calls or [] if call.type == "function"]
        calls = [{"name": c.function.name, "arguments": c.function.arguments} for c in named]
        used = made.usage.total_tokens if made.usage else 0
        return {"answer": message.content or "", "calls": calls, "tokens": used}

    return ask


PEERS = {"qwen-agent": qwen_agent, "openai": openai_client}


def attempts_of(path: Path) -> dict[str, Record]:
    """Returns what was replied before, by case."""
    if not path.is_file():
        return {}
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    return {row["id"]: row for row in rows}


def check_endpoint(url: str) -> None:
    """Ends the run where the endpoint is gone: that is no failure of the client."""
    try:
        httpx.get(f"{url}/models", timeout=60)
    except httpx.TransportError as error:
        sys.exit(f"{url}: {error}; run it again to go on")


def main() -> None:
    """Asks what was not asked yet, and grades everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", choices=sorted(PEERS), required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", default="model")
    parser.add_argument("--group", action="append", default=[])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--data", help="the data folder of bfcl-eval")
    parser.add_argument("--max-tokens", type=int, default=160)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    found = set_of("bfcl", args.data, args.group)
    ask = PEERS[args.peer](args.url, args.model, args.max_tokens)
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "attempts.jsonl"
    known = attempts_of(path)
    outcome = EvalOutcome(found.name, found.source, f"{args.peer}:{args.model}@{args.url}", 1)
    for case in list(found.cases())[: args.limit]:
        row = known.get(case.id)
        if row is None:
            began = time.monotonic()
            try:
                row = ask(case)
            except Exception as error:  # what another client cannot read is its failure
                check_endpoint(args.url)
                row = {"answer": "", "calls": [], "tokens": 0, "error": str(error)[:LONGEST]}
            row = {"id": case.id, "seconds": round(time.monotonic() - began, 2), **row}
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        grade = found.grade(case, row)
        detail = row.get("error") or grade.detail
        spent = (1, row["tokens"], None, row["seconds"])
        outcome.rows.append(EvalTrial(case.id, 1, grade.passed, detail, case.group, *spent))
    outcome.write(args.out)
    print(outcome.line())


if __name__ == "__main__":
    main()
