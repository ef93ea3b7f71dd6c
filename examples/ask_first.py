"""A function decides what may run: reading is free, anything else needs a person's word."""

from __future__ import annotations

from pathlib import Path

from qwenbelt.agents import ApprovalRequest, FnCallAgent, endpoint
from qwenbelt.tools import Tool


class DeleteFile(Tool):
    name, description, destructive = "delete_file", "Deletes a file.", True
    parameters = {  # noqa: RUF012
        "type": "object",
        "properties": {"path": {"type": "string"}},
        "required": ["path"],
    }

    def call(self, params: dict[str, str], **kwargs: object) -> str:
        Path(params["path"]).unlink()
        return f"{params['path']} is deleted."


def policy(request: ApprovalRequest) -> bool:
    answer = input(f"{request.name} {request.arguments} - allow? [y/N] ")
    return answer.strip().lower() == "y"


if __name__ == "__main__":
    agent = FnCallAgent([DeleteFile()], llm=endpoint(otherwise=__file__), approve=policy)
    question = [{"role": "user", "content": "Delete old.txt."}]
    print(agent.run_nonstream(question)[-1]["content"])
