"""Messages of kernels elsewhere: Jupyter's protocol as JSON texts.

https://jupyter-client.readthedocs.io/en/stable/messaging.html
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Callable
from datetime import datetime, timezone

from qwenbelt.core.jsons import loads_bounded
from qwenbelt.tools.code_interpreter.text import sendable
from qwenbelt.tools.code_interpreter.transport import Message, Transport

_GONE = {"dead", "restarting", "autorestarting", "terminating"}


def new_message(kind: str, content: Message, session: str, channel: str = "shell") -> Message:
    """Returns a message as Jupyter's JSON form has it."""
    return {
        "channel": channel,
        "header": {
            "msg_id": uuid.uuid4().hex,
            "msg_type": kind,
            "username": "qwenbelt",
            "session": session,
            "date": datetime.now(timezone.utc).isoformat(),
            "version": "5.3",
        },
        "parent_header": {},
        "metadata": {},
        "content": content,
        "buffers": [],
    }


class JsonTransport(Transport):
    """Messages as JSON texts; a subclass sends and receives them.

    Attributes:
        gone: set when the kernel, or the way to it, has ended.
        on_input: called with what the kernel asks for on the channel that Jupyter has for input.
            Cells may not ask there (`allow_stdin` is false), so it is free for calls of tools.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gone = asyncio.Event()
        self.on_input: Callable[[str], None] | None = None
        self._session = uuid.uuid4().hex

    async def request(self, kind: str, content: Message) -> str:
        """Sends a request and returns its id."""
        message = new_message(kind, content, self._session)
        # a server ends the connection at half a pair, which models write when a reply is cut
        await self._send(sendable(json.dumps(message, ensure_ascii=False)))
        identity: str = message["header"]["msg_id"]
        return identity

    async def give_input(self, value: str) -> None:
        """Sends a text on the channel for input."""
        content = {"status": "ok", "value": value}
        await self._send(json.dumps(new_message("input_reply", content, self._session, "stdin")))

    async def _send(self, text: str) -> None:
        raise NotImplementedError  # each transport sends in its own way

    def _take(self, text: str | bytes) -> None:
        # whatever a hostile kernel makes the server send, it is a message or it is not
        with contextlib.suppress(ValueError, RecursionError, TypeError, AttributeError, KeyError):
            message = loads_bounded(text)
            channel = message.get("channel")
            if channel == "stdin":
                if self.on_input is not None:
                    self.on_input(str(message["content"]["prompt"]))
                return
            self._received(str(channel), message)
            if message["header"]["msg_type"] == "status":
                if message["content"].get("execution_state") in _GONE:
                    self.gone.set()
