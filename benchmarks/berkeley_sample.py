"""A sample of the Berkeley function calling leaderboard, by its own data and checker.

    pip install --no-deps bfcl-eval
    python benchmarks/berkeley_sample.py --gguf MODEL.gguf [--each 16] [--forms native,constrained]
    python benchmarks/berkeley_sample.py --gguf MODEL.gguf --serve    # by a llama.cpp server
    python benchmarks/berkeley_sample.py --url http://127.0.0.1:8080/v1 --dialect llamacpp

Every n-th entry of `simple_python` and `multiple` (right call by the leaderboard's checker) and of
`irrelevance` (right when nothing is called). Names are offered with `_` for `.`, as endpoints that
follow OpenAI's rule for names want it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import types
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llama_server import served
from qwen_agent.llm import get_chat_model

import qwenbelt.agents  # noqa: F401  (registers the model)

TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string"}
MODEL = "sample"


def leaderboard() -> tuple[Path, Callable[..., dict[str, Any]], Any]:
    """Returns the data folder, the checker and its name for Python."""
    spec = importlib.util.find_spec("bfcl_eval")
    if spec is None or not spec.origin:
        sys.exit("The data is missing: pip install --no-deps bfcl-eval")
    # the real module imports the clients of forty services; the checker wants one flag of it
    stub: Any = types.ModuleType("bfcl_eval.constants.model_config")
    stub.MODEL_CONFIG_MAPPING = defaultdict(lambda: types.SimpleNamespace(underscore_to_dot=True))
    sys.modules[stub.__name__] = stub
    from bfcl_eval.constants.enums import Language
    from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker

    return Path(spec.origin).parent / "data", ast_checker, Language.PYTHON


def entries(folder: Path, category: str, each: int) -> list[tuple[dict[str, Any], list[Any]]]:
    """Returns evenly spread entries of a category with their possible answers."""
    name = f"BFCL_v4_{category}.json"
    rows = [json.loads(line) for line in (folder / name).read_text("utf-8").splitlines()]
    answers: dict[str, list[Any]] = {}
    if (folder / "possible_answer" / name).exists():
        text = (folder / "possible_answer" / name).read_text("utf-8")
        answers = {row["id"]: row["ground_truth"] for row in map(json.loads, text.splitlines())}
    step = max(1, len(rows) // each)
    return [(row, answers.get(row["id"], [])) for row in rows[::step][:each]]


def as_json_schema(value: Any) -> Any:
    """Turns the leaderboard's type names into JSON schema's."""
    if isinstance(value, list):
        return [as_json_schema(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    out = {key: as_json_schema(entry) for key, entry in value.items() if key != "default"}
    if isinstance(out.get("type"), str):
        out["type"] = TYPES.get(out["type"], out["type"])
    return out


def offered(function: dict[str, Any]) -> dict[str, Any]:
    """Returns a declaration of one of the leaderboard's functions."""
    schema = as_json_schema(function["parameters"])
    return {**function, "name": function["name"].replace(".", "_"), "parameters": schema}


def asked(model: Any, row: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Returns the calls as the checker wants them, or None where one cannot be read."""
    functions = [offered(function) for function in row["function"]]
    try:
        *_, messages = model.chat(list(row["question"][0]), functions=functions)
        calls = [m["function_call"] for m in messages if m.get("function_call")]
        return [{call["name"]: json.loads(call["arguments"])} for call in calls]
    except Exception as error:  # one entry must not end the sample
        print(f"  {row['id']}: {type(error).__name__}: {str(error)[:100]}", file=sys.stderr)
        return None


def model_for(options: argparse.Namespace, form: str) -> Any:
    """Returns a chat model for a row of the table."""
    settings = {"temperature": 0, "max_tokens": 160, "seed": 1}
    if form == "qwen-agent":
        llm = {"model_type": "oai", "model": "m", "model_server": options.url, "api_key": "k"}
        return get_chat_model({**llm, "generate_cfg": settings})
    llm = {"model_type": "qwenbelt", "model": "m", "model_server": options.url}
    llm["dialect"] = options.dialect
    if options.gguf:
        llm = {"model_type": "qwenbelt", "model": options.gguf, "dialect": "local"}
    return get_chat_model({**llm, "generate_cfg": {**settings, "tool_format": form}})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", default="")
    parser.add_argument("--url", default="")
    parser.add_argument("--dialect", default="llamacpp")
    parser.add_argument("--each", type=int, default=16, help="entries of a category")
    parser.add_argument("--forms", default="native,nous,constrained")
    parser.add_argument("--serve", action="store_true", help="serve the file by llama.cpp")
    options = parser.parse_args()
    if options.serve:
        with served(options.gguf) as server:
            options.gguf, options.url = "", server.url
            compare(options)
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    """Prints the table."""
    folder, checker, python = leaderboard()
    print("| form | simple | multiple | irrelevance |\n|---|---|---|---|")
    for form in options.forms.split(","):
        model, cells = model_for(options, form), []
        for category in ("simple_python", "multiple", "irrelevance"):
            sample = entries(folder, category, options.each)
            right = 0
            for row, answers in sample:
                calls = asked(model, row)
                if category == "irrelevance":
                    right += calls == []
                elif calls:
                    right += checker(row["function"], calls, answers, python, category, MODEL)[
                        "valid"
                    ]
            cells.append(f"{right} / {len(sample)}")
        print(f"| {form} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
