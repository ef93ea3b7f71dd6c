"""One cell instead of twenty replies: the model's code calls the tools, twenty side by side.

What the code does not print, here the text of twenty pages, never reaches the model.
"""

from __future__ import annotations

import sys

from qwenbelt import CodeInterpreter, FnCallAgent, endpoint


def read_page(number: int) -> dict[str, object]:
    """Reads a page of the shop's catalogue.

    Args:
        number: the page, from 1 to 20.
    """
    return {"page": number, "price": (number * 37) % 101 + 5, "text": "words " * 500}


def main(spec: str | None = None) -> None:
    interpreter = CodeInterpreter()
    llm = endpoint(spec, otherwise=__file__)
    agent = FnCallAgent([read_page, interpreter], llm=llm, code_mode=True)
    question = [{"role": "user", "content": "Which of the pages 1 to 20 is the cheapest?"}]
    calls: list[str] = []

    def note(event: object) -> None:
        if getattr(event, "kind", "") == "tool_finished":
            calls.append("from code" if getattr(event, "parent", "") else "by the model")

    answer = agent.run_nonstream(question, on_event=note)[-1]["content"]
    print(calls.count("by the model"), "call by the model,", calls.count("from code"), "from code")
    print(answer)
    interpreter.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
