"""The command line with two tools of the test's own; run in a pseudo-terminal by the tests."""

from __future__ import annotations

import faulthandler
import signal
import time
from typing import Any

from pydantic import BaseModel
from qwen_agent.tools.base import register_tool

from qwenbelt.apps.cli import main
from qwenbelt.tools import Tool


class Word(BaseModel):
    word: str


@register_tool("look_up")
class LookUp(Tool):
    name = "look_up"
    description = "Looks a word up."
    Arguments = Word
    read_only = True

    def call(self, params: Any, **kwargs: Any) -> str:
        time.sleep(0.3)
        return f"{self.parse(params).word}: \x1b[31mred\x1b]0;title\x07 \u202eevil"


@register_tool("send_mail")
class SendMail(LookUp):
    name = "send_mail"
    description = "Sends a letter."
    read_only = False

    def call(self, params: Any, **kwargs: Any) -> str:
        word = self.parse(params).word
        if word == "slowly":
            kwargs["context"].cancelled.wait(30)
        return f"sent {word}"


if __name__ == "__main__":
    # tells the tests where it stands when it does not end
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    main()
