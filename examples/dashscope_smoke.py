"""Runs DashScope's modes once each; needs DASHSCOPE_API_KEY (a few cents)."""

from __future__ import annotations

import sys
from collections.abc import Callable

from qwen_agent.llm import get_chat_model

from qwenbelt.agents import endpoint
from qwenbelt.agents.dashscope_modes import DashScope


def ask(content: object, model: str = "qwen-plus", **settings: object) -> str:
    llm = {**endpoint(f"dashscope:{model}"), "generate_cfg": settings}
    messages = [{"role": "user", "content": content}]
    return str(get_chat_model(llm).chat(messages, stream=False)[-1]["content"])


def main(picture: str, document: str) -> None:
    service = DashScope()
    modes: dict[str, Callable[[], object]] = {
        "text": lambda: ask("Say hello."),
        "thinking": lambda: ask("Is 91 prime?", "qwen3-32b", thinking=True),
        "image": lambda: ask([{"image": picture}, {"text": "What is this?"}], "qwen-vl-plus"),
        "text of an image": lambda: service.read_text(picture),
        "web search": lambda: service.search("Today's news?").text,
        "document": lambda: service.ask_document("Title?", [service.upload_document(document)]),
        "embedding": lambda: len(service.embed(["hello"])[0]),
        "rerank": lambda: service.rerank("sea", ["a fish", "a car"])[0],
    }
    for name, run in modes.items():
        print(f"{name}: {str(run())[:70]!r}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
