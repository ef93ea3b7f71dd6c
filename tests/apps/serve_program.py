"""An agent served with tools of its own, run by the tests: `serve_program.py SCENARIO FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from qwen_agent.llm.schema import ContentItem

from qwenbelt.agents import FnCallAgent, endpoint
from qwenbelt.apps.gui.server import run_app
from qwenbelt.apps.serve.app import AgentServer, ServeOptions
from qwenbelt.tools import Tool


class Word(BaseModel):
    word: str = ""


class Draw(Tool):
    name = "draw"
    description = "Draws."
    Arguments = Word
    read_only = True

    def call(self, params: Any, **kwargs: Any) -> Any:
        path = Path(kwargs["context"].folder) / "drawing.png"
        path.write_bytes(b"\x89PNG")
        return [ContentItem(text="drawn"), ContentItem(image=str(path))]


class Wait(Draw):
    name = "wait"

    def call(self, params: Any, **kwargs: Any) -> Any:
        folder = Path(kwargs["context"].folder)
        (folder / "begun").touch()
        if kwargs["context"].cancelled.wait(30):
            (folder / "stopped").touch()
        return "waited"


class Mail(Draw):
    name = "mail"
    read_only = False

    def call(self, params: Any, **kwargs: Any) -> Any:
        return "sent"


class Files(Draw):
    name = "files"

    def call(self, params: Any, **kwargs: Any) -> Any:
        return " ".join(f"{n}={p.stat().st_size}" for n, p in kwargs["context"].files.items())


def main() -> None:
    scenario, folder = sys.argv[1:]
    tools = [Draw(), Wait(), Mail(), Files()]
    agent = FnCallAgent(tools, endpoint(f"scripted:{scenario}", max_retries=1), approve="ask")
    options = ServeOptions(folder=Path(folder), token="")
    app = AgentServer(agent, options, set()).app()
    run_app(app, "127.0.0.1", 0, lambda url: print(url, flush=True))


if __name__ == "__main__":
    main()
