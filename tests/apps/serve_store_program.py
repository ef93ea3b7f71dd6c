"""A replica with a store, run by the tests: `… ENDPOINT FOLDER STORE [ask]`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from qwenbelt.agents import FnCallAgent
from qwenbelt.apps.gui.server import run_app
from qwenbelt.apps.serve import response_store
from qwenbelt.apps.serve.app import AgentServer, ServeOptions
from qwenbelt.tools import Tool

response_store.SIGN_SECONDS = 0.5
response_store.DEAD_SECONDS = 15.0  # less, and a busy machine has two replicas at one reply


class Nothing(BaseModel):
    pass


class Note(Tool):
    name = "note"
    description = "Writes a line."
    Arguments = Nothing

    def call(self, params: Any, **kwargs: Any) -> Any:
        with (FOLDER / "notes").open("a", encoding="utf-8") as file:
            file.write("noted\n")
        return "noted"


class Hold(Tool):
    name = "hold"
    description = "Waits until it may go on."
    Arguments = Nothing
    read_only = True

    def call(self, params: Any, **kwargs: Any) -> Any:
        (FOLDER / "holding").touch()
        while not (FOLDER / "go").exists() and not kwargs["context"].cancelled.is_set():
            time.sleep(0.05)
        return "held"


def main() -> None:
    global FOLDER
    url, folder, store, *asking = sys.argv[1:]
    FOLDER = Path(folder)
    llm = {"model": "scripted", "model_server": url}
    agent = FnCallAgent([Note(), Hold()], llm, approve="ask" if asking else "auto")
    options = ServeOptions(folder=FOLDER / "kept", store=store, approvals=bool(asking))
    app = AgentServer(agent, options, set()).app()
    run_app(app, "127.0.0.1", 0, lambda url: print(url, flush=True))


if __name__ == "__main__":
    main()
