"""Training data from runs: conversations with tools for fine-tuning, and preference pairs.

Three forms, one JSON object a line:

- `openai`: `{"messages": [...], "tools": [...]}`, the form of TRL's SFT trainer and of OpenAI's
  fine-tuning (https://huggingface.co/docs/trl/dataset_formats).
- `sharegpt`: `{"conversations": [{"from", "value"}], "system", "tools"}`, the form of LLaMA-Factory
  (its data/README.md).
- `dpo`: `{"prompt", "chosen", "rejected"}` with messages, TRL's conversational preference form: two
  runs of the same task, of which a scorer finds one better.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from qwenbelt.agents.models.codecs import codec_for
from qwenbelt.agents.models.encoding import text_of, to_wire
from qwenbelt.core.errors import InputError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.secrets import mask_secrets

Form = Literal["openai", "sharegpt", "dpo"]
_FROM = {"user": "human", "assistant": "gpt", "tool": "observation"}


@dataclass(frozen=True)
class TrainingExample:
    """One run as training data.

    Attributes:
        prompt: the messages that the run was given, system message first where there is one.
        reply: the messages that the run added, in the chat completions form.
        tools: declarations of the tools that were offered.
        reason: why the run ended, as in `Done.reason`.
        failed: how many calls failed or were cancelled.
        calls: how many calls there were.
        tokens: what the endpoint counted, in and out.
    """

    prompt: list[dict[str, Any]]
    reply: list[dict[str, Any]]
    tools: list[dict[str, Any]] = field(default_factory=list)
    reason: str = ""
    failed: int = 0
    calls: int = 0
    tokens: int = 0

    @property
    def task(self) -> str:
        """What was asked, without the differences that do not matter."""
        return " ".join(json.dumps(self.prompt, ensure_ascii=False, sort_keys=True).split())

    @property
    def question(self) -> str:
        """The text of the last message of the person."""
        asked = [m for m in self.prompt if m["role"] == "user"]
        return text_of(asked[-1]["content"]) if asked else ""


Scorer = Callable[[TrainingExample], float]


def example_of(records: Iterable[Mapping[str, Any]]) -> TrainingExample:
    """Returns the run of a trace, with every key and known secret masked.

    Raises:
        InputError: the trace does not hold a whole run.
    """
    rows = list(records)
    began = next((row for row in rows if row["event"] == "run_started"), None)
    done = next((row for row in reversed(rows) if row["event"] == "done"), None)
    if began is None or done is None or not done.get("messages"):
        raise InputError("The trace does not hold a whole run (its beginning, its end, messages).")
    finished = [row for row in rows if row["event"] == "tool_finished"]
    usage = [row for row in rows if row["event"] == "usage"]
    return TrainingExample(
        prompt=_chat_completions_form(began["messages"]),
        reply=_chat_completions_form(done["messages"]),
        tools=[{"type": "function", "function": told} for told in _declared(began)],
        reason=str(done["reason"]),
        failed=sum(not row["ok"] for row in finished),
        calls=len(finished),
        tokens=sum(int(row["input_tokens"]) + int(row["output_tokens"]) for row in usage),
    )


def _chat_completions_form(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The chat completions form; pictures and files are reduced to their texts."""
    texts = [{**m, "content": text_of(m.get("content") or "")} for m in messages]
    wire = to_wire(texts, codec_for("native"))
    cleaned: list[dict[str, Any]] = loads_bounded(
        mask_secrets(json.dumps(wire, ensure_ascii=False))
    )
    return cleaned


def _declared(began: Mapping[str, Any]) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = loads_bounded(
        mask_secrets(json.dumps(began.get("declarations") or []))
    )
    return told


def default_score(example: TrainingExample) -> float:
    """An answer is better than none, then fewer failed calls, fewer calls, fewer tokens."""
    answered = 1e9 if example.reason == "answer" else 0.0
    return answered - 1e6 * example.failed - 1e3 * example.calls - 1e-3 * example.tokens


def rows(
    examples: Sequence[TrainingExample], form: Form, score: Scorer = default_score
) -> list[dict[str, Any]]:
    """Returns the lines of a training file, without doubles, in the order of the runs.

    Raises:
        InputError: `dpo` was asked for, and no task has two runs of different worth.
    """
    if form == "dpo":
        found = list(_preference_pairs(examples, score))
        if not found:
            raise InputError(
                "No two runs of the same task differ in their score.",
                fix="Give at least two traces of the same question, or a scorer of your own.",
            )
    elif form == "openai":
        found = [_openai_row(example) for example in examples]
    else:
        found = [_sharegpt_row(example) for example in examples]
    seen: dict[str, dict[str, Any]] = {}
    for row in found:
        seen.setdefault(_row_identity(row), row)
    return list(seen.values())


def _row_identity(row: Mapping[str, Any]) -> str:
    """The text of a row without the ids of its calls, which differ from run to run."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if k not in ("id", "tool_call_id")}
        return [plain(entry) for entry in value] if isinstance(value, list) else value

    return json.dumps(plain(dict(row)), sort_keys=True)


def _openai_row(example: TrainingExample) -> dict[str, Any]:
    row: dict[str, Any] = {"messages": [*example.prompt, *example.reply]}
    return {**row, "tools": example.tools} if example.tools else row


def _sharegpt_row(example: TrainingExample) -> dict[str, Any]:
    messages = [*example.prompt, *example.reply]
    system = "\n".join(text_of(m["content"]) for m in messages if m["role"] == "system")
    row: dict[str, Any] = {"conversations": list(_sharegpt_turns(messages))}
    if system:
        row["system"] = system
    if example.tools:
        functions = [tool["function"] for tool in example.tools]
        row["tools"] = json.dumps(functions, ensure_ascii=False)
    return row


def _sharegpt_turns(messages: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """One turn a message; all calls of a reply, and all their results, are one turn each."""
    for role, group in itertools.groupby(messages, key=lambda message: message["role"]):
        if role == "system":
            continue
        if role == "tool":
            results = [text_of(message["content"]) for message in group]
            text = results[0] if len(results) == 1 else json.dumps(results, ensure_ascii=False)
            yield {"from": "observation", "value": text}
            continue
        for message in group:
            calls = [call["function"] for call in message.get("tool_calls") or ()]
            if message.get("content") and not calls:
                yield {"from": _FROM[role], "value": text_of(message["content"])}
            if calls:
                written = [{"name": c["name"], "arguments": _value(c["arguments"])} for c in calls]
                one = written[0] if len(written) == 1 else written
                yield {"from": "function_call", "value": json.dumps(one, ensure_ascii=False)}


def _value(text: str) -> Any:
    try:
        return loads_bounded(text)
    except json.JSONDecodeError:
        return text


def _preference_pairs(
    examples: Sequence[TrainingExample], score: Scorer
) -> Iterator[dict[str, Any]]:
    tasks: dict[str, list[TrainingExample]] = {}
    for example in examples:
        tasks.setdefault(example.task, []).append(example)
    for runs in tasks.values():
        ranked = sorted(runs, key=score, reverse=True)
        best, worst = ranked[0], ranked[-1]
        if score(best) > score(worst):
            row = {"prompt": best.prompt, "chosen": best.reply, "rejected": worst.reply}
            yield {**row, "tools": best.tools} if best.tools else row
