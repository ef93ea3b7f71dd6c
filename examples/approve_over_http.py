"""A client of `qwenbelt serve --store responses.db --approvals`: a person allows its calls."""

from __future__ import annotations

import sys

from openai import OpenAI


def main(url: str, question: str) -> None:
    """Asks, and asks the person for each call that needs an approval."""
    client = OpenAI(base_url=url, api_key="any")
    reply = client.responses.create(model="qwenbelt", input=question)
    while asked := [item for item in reply.output if item.type == "mcp_approval_request"]:
        answers = []
        for item in asked:
            allowed = input(f"{item.name} {item.arguments} [y/n] ") == "y"
            answer = {"approval_request_id": item.id, "approve": allowed}
            answers.append({"type": "mcp_approval_response", **answer})
        # it may as well come days later, and to another server with the same store
        reply = client.responses.create(
            model="qwenbelt", previous_response_id=reply.id, input=answers
        )
    print(reply.output_text)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python approve_over_http.py http://127.0.0.1:8808/v1 QUESTION")
    main(*sys.argv[1:])
