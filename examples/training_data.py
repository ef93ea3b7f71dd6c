"""Runs become training data: conversations for fine-tuning, and a pair for preferences."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from qwenbelt import FnCallAgent, TraceWriter, endpoint
from qwenbelt.core import read_trace
from qwenbelt.workflows import TrainingExample, example_of, rows


def weather(city: str) -> str:
    """Tells the weather.

    Args:
        city: where.
    """
    return f"Sunny in {city}."


def brevity(example: TrainingExample) -> float:
    """The shorter answer is the better one."""
    return -len(example.reply[-1]["content"])


if __name__ == "__main__":
    examples = []
    len(sys.argv) > 2 or sys.exit("usage: python training_data.py ENDPOINT ENDPOINT")
    for number, spec in enumerate(sys.argv[1:]):  # two models, such as ollama:qwen3:8b
        agent = FnCallAgent([weather], llm=endpoint(spec))
        with TraceWriter(path := Path(f"run{number}.jsonl")) as trace:
            agent.run_nonstream([{"role": "user", "content": "Warm in Lindau?"}], trace=trace)
        examples.append(example_of(read_trace(path)))
    for conversation in rows(examples, "openai"):
        print([message["role"] for message in conversation["messages"]])
    for pair in rows(examples, "dpo", brevity):
        print(json.dumps({"chosen": pair["chosen"][-1]["content"]}))
