"""The tool `speech_to_text`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from qwenbelt.core.errors import QwenbeltError, ToolError
from qwenbelt.core.limits import shorten_text
from qwenbelt.tools.audio.speech import speech_endpoint, transcribe_file
from qwenbelt.tools.audio.strings import SPEECH, say
from qwenbelt.tools.base import Tool, ToolContext, ToolResult
from qwenbelt.tools.images.picture import named_picture


class SpeechToText(Tool):
    """Transcribes a file.

    Args:
        cfg: `url`, `model` and `key` of the endpoint; `files`, paths that the model may name.
    """

    name = "speech_to_text"
    description = SPEECH
    read_only = True
    idempotent = True
    open_world = True
    timeout = 320.0

    class Arguments(BaseModel):
        """Which file, and in which language."""

        audio: str = Field(min_length=1, description="the file's name")
        language: str = Field(
            "", pattern=r"^[a-z]{0,3}$", description="of the speech, as a code such as en or zh"
        )

    @property
    def file_access(self) -> bool:
        """Stock agents hand over the conversation's files."""
        return True

    def call(self, params: Any, **kwargs: Any) -> ToolResult:
        """Returns the text."""
        arguments = self.parse(params)
        context = kwargs.get("context") or ToolContext()
        allowed = [str(v) for v in [*(kwargs.get("files") or ()), *self.cfg.get("files", ())]]
        if "context" not in kwargs and "messages" not in kwargs:
            allowed.append(arguments.audio)  # called by a person, not by a model
        path = named_picture(arguments.audio, context, allowed, "sound file")
        try:
            text = transcribe_file(path, speech_endpoint(self.cfg), arguments.language)
        except QwenbeltError as error:
            raise ToolError(str(error)) from error
        if not text:
            return say("silence", context.language)
        return f"{say('notice', context.language)}\n{shorten_text(text)[0]}"
