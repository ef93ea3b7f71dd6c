"""A chat server with tools of its own, run by the tests: `gui_program.py SCENARIO WORKSPACE`."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from mcp_types import CallToolResult, ReadResourceResult, TextContent, TextResourceContents
from pydantic import BaseModel
from qwen_agent.llm.schema import ContentItem

from qwenbelt.apps.agent_choice import AgentChoice
from qwenbelt.apps.gui import server
from qwenbelt.tools import Plot, Tool
from qwenbelt.tools.base import Question
from qwenbelt.tools.mcp.apps import MIME_TYPE, keep_app, page_of

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c"
    "6360606060000000050001a5f645400000000049454e44ae426082"
)


class Seconds(BaseModel):
    seconds: float = 0.0
    word: str = ""


class Look(Tool):
    """Reads only; takes as long as it is told."""

    name = "look"
    description = "Looks something up."
    Arguments = Seconds
    read_only = True

    def call(self, params: Any, **kwargs: Any) -> Any:
        arguments = self.parse(params)
        if kwargs["context"].cancelled.wait(arguments.seconds):
            folder = Path(kwargs["context"].folder)
            (folder / f"stopped-{arguments.word}.txt").write_text("x", encoding="utf-8")
        return f"saw {arguments.word}"


class Draw(Look):
    name = "draw"

    def call(self, params: Any, **kwargs: Any) -> Any:
        path = Path(kwargs["context"].folder) / "drawing.png"
        path.write_bytes(PNG)
        return [ContentItem(text="drawn"), ContentItem(image=str(path))]


class Find(Look):
    name = "find"

    def call(self, params: Any, **kwargs: Any) -> str:
        return "[1] report.pdf p.2\nCoal burns.\n\n[2] report.pdf p.3\nWind blows over hills."


class Query(Look):
    name = "query"

    def call(self, params: Any, **kwargs: Any) -> str:
        return 'Rows: {"columns": ["plant", "mw"], "rows": [["Ada", 9], ["Bo", 120]]}'


class Mail(Look):
    name = "mail"
    read_only = False


FORM = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Your <b>name</b>", "minLength": 2},
        "count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
        "size": {
            "oneOf": [{"const": "s", "title": "Small"}, {"const": "l", "title": "Large"}],
            "type": "string",
        },
        "toppings": {"type": "array", "items": {"type": "string", "enum": ["ham", "egg"]}},
        "fast": {"type": "boolean", "default": True},
    },
    "required": ["name"],
}


class Where(BaseModel):
    url: str = ""


class Survey(Tool):
    """Asks the person as a server does in the middle of a call."""

    name = "survey"
    description = "Asks the person."
    Arguments = Where
    read_only = True
    timeout = 0.5  # rests while the person thinks

    async def acall(self, arguments: Any, **kwargs: Any) -> str:
        url = arguments.url
        question = Question(
            "forms<i>", "Order?", {} if url else FORM, "url" if url else "form", url
        )
        values = await asyncio.wrap_future(kwargs["context"].elicit(question))
        return f"answered {json.dumps(values)}"


class Page(Tool):
    """Gives a page of a server, written by the test into the workspace."""

    name = "page"
    description = "Shows a page."
    Arguments = Where
    read_only = True

    def call(self, params: Any, **kwargs: Any) -> str:
        context = kwargs["context"]
        html = (Path(sys.argv[2]) / "page.html").read_text(encoding="utf-8")
        content = TextResourceContents(uri="ui://x/p", mime_type=MIME_TYPE, text=html)
        page = asyncio.run(page_of(Pages(content), "ui://x/p"))
        result = CallToolResult(content=[TextContent(text="shown")])
        file = keep_app(context.folder, "x-page", page, {"day": "Monday"}, result)
        context.show_app("pages<i>", file.name)
        return "The page is shown."


class Pages:
    """A server's client that reads one page."""

    def __init__(self, content: TextResourceContents) -> None:
        self._content = content

    async def read_resource(self, uri: str) -> ReadResourceResult:
        return ReadResourceResult(contents=[self._content])


def make_agent(choice: AgentChoice, made: dict[str, Any], **settings: Any) -> Any:
    from qwenbelt.agents import FnCallAgent, endpoint

    tools = [Look(), Draw(), Find(), Query(), Plot(), Mail(), Survey(), Page()]
    return FnCallAgent(tools, endpoint(choice.endpoint), approve=choice.approve, **settings)


def main() -> None:
    scenario, workspace = sys.argv[1:]
    choice = AgentChoice(endpoint=f"scripted:{scenario}", approve="ask")
    app = server.make_app(choice, server.GuiOptions(workspace=Path(workspace)), make_agent)
    server.run_app(app, "127.0.0.1", 0, lambda url: print(url, flush=True))


if __name__ == "__main__":
    main()
