"""Runs DashScope's modes once each: KEY in DASHSCOPE_API_KEY; a picture, a document, a sound."""

import sys
from collections.abc import Callable
from pathlib import Path

from qwenbelt.agents import DashScope, FnCallAgent, endpoint


def ask(content: object, model: str = "qwen-plus", tools: object = (), **settings: object) -> str:
    agent = FnCallAgent(list(tools), llm=endpoint(f"dashscope:{model}", **settings))  # type: ignore[call-overload]
    return str(agent.run_nonstream([{"role": "user", "content": content}])[-1]["content"])


def main(picture: str, document: str, sound: str, folder: str = "dashscope_batch") -> None:
    service, vl, see = DashScope(), "qwen-vl-plus", {"text": "What is this?"}
    uploaded = [{"image": service.upload_media(picture, vl)}, see]
    body = {"model": "qwen-plus", "messages": [{"role": "user", "content": "Say hello."}]}
    modes: dict[str, Callable[[], object]] = {
        "text": lambda: ask("Say hello."),
        "thinking": lambda: ask("Is 91 prime?", thinking=500),
        "tools": lambda: ask("How many files are in the home folder?", tools=["code_interpreter"]),
        "image": lambda: ask([{"image": picture}, see], vl),
        "uploaded image": lambda: ask(uploaded, vl),
        "video": lambda: ask([{"video": [picture] * 4}, see], vl),
        "sound": lambda: ask([{"audio": sound}, see], "qwen-omni-turbo", modalities=["text"]),
        "text of an image": lambda: service.read_text(picture),
        "web search": lambda: service.search("Today's news?").sources,
        "document": lambda: service.ask_document("Title?", [service.upload_document(document)]),
        "embedding": lambda: len(service.embed(["0"])[0]),
        "rerank": lambda: service.rerank("sea", ["a fish", "a car"])[0],
        "batch": lambda: service.submit_batch([body], Path(folder)).status,
    }
    for name, run in modes.items():
        print(f"{name}: {str(run())[:70]!r}")


if __name__ == "__main__":
    len(sys.argv) > 3 or sys.exit("usage: python dashscope_smoke.py PICTURE DOCUMENT SOUND")
    main(*sys.argv[1:])
