"""A small model in this process: every call that it writes is valid by its schema.

Needs `pip install "qwenbelt[local]"`. Name a `.gguf` file, or a model that `qwenbelt model pull`
has fetched.
"""

from __future__ import annotations

import sys

from qwenbelt.agents import FnCallAgent, endpoint


def set_timer(minutes: int) -> str:
    """Sets a kitchen timer.

    Args:
        minutes: after how many minutes it rings.
    """
    return f"The timer rings in {minutes} minutes."


def main(model: str) -> None:
    llm = endpoint(f"local:{model}")
    llm["generate_cfg"] = {"tool_format": "constrained", "max_tokens": 80, "temperature": 0}
    agent = FnCallAgent([set_timer], llm=llm, approve="auto")
    question = {"role": "user", "content": "Set a timer for 10 minutes."}
    for message in agent.run_nonstream([question]):
        print(message["role"], message["content"] or message.get("function_call"))


if __name__ == "__main__":
    if len(sys.argv) <= 1:
        sys.exit("usage: python local_model.py MODEL")
    main(sys.argv[1])
