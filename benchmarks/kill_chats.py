"""Kills one of three replicas of the chat again and again, under load, and counts what is lost.

    python benchmarks/kill_chats.py [--kills 20] [--conversations 4]

Like `kill_replicas.py`, for `gui --store postgresql://…`: a question is sent to any replica, the
answer is read at any other. The replicas have the page's own routes, without Gradio's.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import httpx
from kill_replicas import PATIENCE, UNKNOWN, WORDS, Killing, options_of, run_and_tell


def replica(url: str, place: str, effects: str) -> None:
    """Serves an agent whose one tool notes texts in a file."""
    from starlette.applications import Starlette

    from qwenbelt import FnCallAgent
    from qwenbelt.apps.agent_choice import AgentChoice
    from qwenbelt.apps.gui.access.guards import Guard
    from qwenbelt.apps.gui.api import Api
    from qwenbelt.apps.gui.asking import TurnStarter
    from qwenbelt.apps.gui.hub import SessionRegistry
    from qwenbelt.apps.gui.replicas import replica as replicas
    from qwenbelt.apps.gui.replicas.postgres_store import PostgresChatStore
    from qwenbelt.apps.gui.replicas.shared_files import SharedFiles
    from qwenbelt.apps.gui.server import run_app

    replicas.SIGN_SECONDS, replicas.DEAD_SECONDS = 0.5, 6.0

    def note(text: str) -> str:
        """Notes a text.

        Args:
            text: what to note.
        """
        with open(effects, "a", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {time.time()} {text}\n")
        return f"noted {text}"

    def make(choice: Any, made: Any, **settings: Any) -> Any:
        return FnCallAgent(
            [note], llm={"model": "m", "model_server": url, "api_key": "k"}, **settings
        )

    store = PostgresChatStore(place)
    hub = SessionRegistry(store, Path(effects).parent / "sessions")
    asker = TurnStarter(hub, AgentChoice(), make)
    files = SharedFiles(store, hub.workspace, None)
    hub.replica = replicas.Replica(hub, asker, store, files)

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> Any:
        assert hub.replica is not None
        async with hub.replica.running():
            yield

    app = Guard(Starlette(routes=Api(hub, asker).routes(), lifespan=lifespan), {}, True)
    run_app(app, "127.0.0.1", 0, lambda url: print(url, flush=True))


class KillingChats(Killing):
    """Conversations of the chat under kills."""

    program = __file__

    def _converse(self) -> None:
        cookies = {"qb_user": "0123456789abcdef0123456789abcdef"}
        with httpx.Client(trust_env=False, timeout=10, cookies=cookies) as http:
            while not self._over.is_set():
                self._one_conversation(http, next(self._numbers))

    def _one_conversation(self, http: httpx.Client, name: int) -> None:
        session = self._said(http, "/qb/new", {}).get("id")
        for question in range(2 if session else 0):
            words = [f"w{name}x{question}x{n}" for n in range(WORDS)]
            text = f"Note {' '.join(words)}."
            turn = self._said(http, f"/qb/do/{session}/send", {"text": text}).get("turn")
            if turn is None:
                return
            self.counts["questions taken"] += 1
            self._read(http, str(session), turn, f"Noted {' '.join(words)}.")

    def _said(self, http: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            reply = http.post(f"{self._any()}{path}", json=body)
        except httpx.HTTPError:
            self.counts[UNKNOWN] += 1
            return {}
        if reply.status_code != 200:
            self.faults.append(f"refused: {path}: {reply.text[:200]}")
            return {}
        return dict(reply.json())

    def _read(self, http: httpx.Client, session: str, turn: str, expected: str) -> None:
        deadline, told = time.monotonic() + PATIENCE, ""
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                reply = http.post(f"{self._any()}/qb/do/{session}/answer", json={"turn": turn})
                told = reply.text
                if reply.status_code == 200 and reply.json()["text"]:
                    self._compare_text(reply.json()["text"], expected)
                    return
            time.sleep(0.2)
        self._lost(expected, told)


def main() -> None:
    """Prints the counts."""
    given = options_of(__doc__, "postgres or postgresql://…", conversations=4)
    if given.replica:
        replica(*given.replica)
    else:
        run_and_tell(KillingChats, given)


if __name__ == "__main__":
    main()
