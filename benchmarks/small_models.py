"""Tool calls of a small model in each form, beside qwen-agent: validity, right tool, chat answered.

    python benchmarks/small_models.py --gguf MODEL.gguf            # the embedded engine
    python benchmarks/small_models.py --gguf MODEL.gguf --serve    # by a llama.cpp server
    python benchmarks/small_models.py --url http://127.0.0.1:8080/v1 --dialect llamacpp

Twenty-one prompts need one of six tools, twenty-nine are chat. Nothing is executed.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import jsonschema
from llama_server import served
from qwen_agent.llm import get_chat_model

import qwenbelt.agents  # noqa: F401  (registers the model)


def tool(name: str, description: str, required: str, **properties: Any) -> dict[str, Any]:
    """Returns a declaration."""
    schema = {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }
    return {"name": name, "description": description, "parameters": schema}


TEXT, NUMBER = {"type": "string"}, {"type": "integer", "minimum": 1}
DAY = {"type": "string", "enum": ["today", "tomorrow"]}
TOOLS = [
    tool("get_weather", "Tells the weather of a city on a day.", "city", city=TEXT, day=DAY),
    tool("calculator", "Computes an arithmetic expression.", "expression", expression=TEXT),
    tool(
        "search_web",
        "Searches the web for news and facts.",
        "query",
        query=TEXT,
        max_results=NUMBER,
    ),
    tool(
        "send_email",
        "Sends an e-mail to somebody.",
        "to subject body",
        to=TEXT,
        subject=TEXT,
        body=TEXT,
    ),
    tool("set_timer", "Sets a timer for a number of minutes.", "minutes", minutes=NUMBER),
    tool(
        "translate",
        "Translates a text into another language.",
        "text language",
        text=TEXT,
        language=TEXT,
    ),
]
# a prompt, its tool, and what must stand in the arguments
CALLS = [
    ("What is the weather in Paris?", "get_weather", "Paris"),
    ("Will it rain in Oslo tomorrow?", "get_weather", "Oslo"),
    ("How warm is it in Rome today?", "get_weather", "Rome"),
    ("Tell me the forecast for Berlin.", "get_weather", "Berlin"),
    ("What is 17 * 23?", "calculator", "17"),
    ("Compute (4 + 5) / 3.", "calculator", "4"),
    ("How much is 12.5 percent of 840?", "calculator", "840"),
    ("Add 199 and 301.", "calculator", "301"),
    ("Search the web for the latest news on fusion energy.", "search_web", "fusion"),
    ("Find out who won the last world cup.", "search_web", "world cup"),
    ("Look up the population of Chile online.", "search_web", "Chile"),
    ("Search for pasta recipes.", "search_web", "pasta"),
    ("Send an email to anna@example.com saying the meeting is at noon.", "send_email", "anna@"),
    ("Email bob@example.com about the budget.", "send_email", "bob@"),
    ("Write a mail to team@example.com that we ship on Friday.", "send_email", "team@"),
    ("Set a timer for 10 minutes.", "set_timer", "10"),
    ("Start a 3 minute timer for my tea.", "set_timer", "3"),
    ("Remind me in 45 minutes with a timer.", "set_timer", "45"),
    ("Translate 'good morning' into French.", "translate", "good morning"),
    ("How do you say 'thank you' in Japanese? Use the translator.", "translate", "thank you"),
    ("Translate this to German: the cat sleeps.", "translate", "cat"),
]
CHAT = """Hello!|How are you?|Thanks a lot!|Tell me a joke.|What is your name?|Good night.|\
Write a short poem about spring.|Who are you?|That was very helpful, thank you.|\
What do you think about music?|Explain what a tree is.|I am bored.|Can you help me?|\
Give me three names for a dog.|Why is the sky blue?|Tell me a story about a fox.|\
Nice to meet you.|What is love?|I had a bad day.|Say something nice.|Describe the color red.|\
What is a verb?|Goodbye!|You are great.|Count to five.|Write one sentence about the sea.|\
What is friendship?|Hi there, what can you do?|Do you like cats?""".split("|")


def made(arguments: argparse.Namespace, form: str) -> Any:
    """Returns a chat model for a column of the table."""
    settings = {"temperature": 0, "max_tokens": arguments.tokens, "seed": 1}
    if form.startswith("qwen-agent"):
        llm = {"model_type": "oai", "model": "small", "model_server": arguments.url, "api_key": "k"}
        return get_chat_model({**llm, "generate_cfg": settings})
    llm = {"model_type": "qwenbelt", "model": "small", "model_server": arguments.url}
    llm["dialect"] = arguments.dialect
    if arguments.gguf:
        llm = {"model_type": "qwenbelt", "model": arguments.gguf, "dialect": "local"}
    return get_chat_model({**llm, "generate_cfg": {**settings, "tool_format": form}})


def calls_of(model: Any, prompt: str) -> list[tuple[str, str]]:
    """Returns the calls of a reply; a reply that fails has none."""
    try:
        *_, messages = model.chat([{"role": "user", "content": prompt}], functions=TOOLS)
    except Exception as error:  # a column of the table must not end the others
        print(f"  {prompt!r}: {type(error).__name__}: {str(error)[:100]}")
        return []
    found = [message["function_call"] for message in messages if message.get("function_call")]
    return [(call["name"], call["arguments"]) for call in found]


def valid(name: str, arguments: str) -> bool:
    """Says whether a call fits the schema of its tool."""
    schema = next((t["parameters"] for t in TOOLS if t["name"] == name), None)
    try:
        jsonschema.validate(json.loads(arguments), schema or False)
    except (ValueError, jsonschema.ValidationError):
        return False
    return True


def measure(model: Any) -> dict[str, str]:
    """Returns a row of the table."""
    started = time.monotonic()
    made_calls: list[tuple[str, str]] = []
    called = right = argued = answered = 0
    for prompt, name, words in CALLS:
        calls = calls_of(model, prompt)
        made_calls += calls
        called += bool(calls)
        right += bool(calls) and calls[0][0] == name
        argued += bool(calls) and calls[0][0] == name and words.lower() in calls[0][1].lower()
    for prompt in CHAT:
        calls = calls_of(model, prompt)
        made_calls += calls
        answered += not calls
    fine = sum(valid(*call) for call in made_calls)
    return {
        "calls valid": f"{fine} / {len(made_calls)}",
        "called": f"{called} / {len(CALLS)}",
        "right tool": f"{right} / {len(CALLS)}",
        "right argument": f"{argued} / {len(CALLS)}",
        "chat answered": f"{answered} / {len(CHAT)}",
        "seconds": f"{time.monotonic() - started:.0f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", default="", help="a model file for the embedded engine")
    parser.add_argument("--url", default="", help="the base URL of a server")
    parser.add_argument("--dialect", default="llamacpp")
    parser.add_argument("--forms", default="native,nous,constrained,qwen-agent")
    parser.add_argument("--tokens", type=int, default=96, help="most tokens of a reply")
    parser.add_argument("--serve", action="store_true", help="serve the file by llama.cpp")
    arguments = parser.parse_args()
    if arguments.serve:
        with served(arguments.gguf) as server:
            arguments.gguf, arguments.url = "", server.url
            compare(arguments)
    else:
        compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    """Prints the table."""
    header: list[str] = []
    for form in arguments.forms.split(","):
        if form.startswith("qwen-agent") and not arguments.url:
            continue
        row = measure(made(arguments, form))
        if not header:
            header = ["form", *row]
            print("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
        print("| " + " | ".join([form, *row.values()]) + " |", flush=True)


if __name__ == "__main__":
    main()
