"""A server of ours with the conformance suite's own tools: conformance_server.py [PORT].

    npx @modelcontextprotocol/conformance server --url http://127.0.0.1:PORT/mcp

It has what our servers can offer. The suite's tools for logging, sampling and questions, and
subscriptions to resources, are left out: no server of ours has those.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from qwenbelt.core.errors import ToolError
from qwenbelt.mcp_servers.options import HttpOptions
from qwenbelt.mcp_servers.service import McpService, PromptText, TextResource, TextTemplate
from qwenbelt.mcp_servers.transports import serve_http
from qwenbelt.tools.operation import Media, Operation, OperationCall, OperationResult

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
)
SOUND = b"RIFF$\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0@\x1f\0\0@\x1f\0\0\1\0\x08\0data\0\0\0\0"
PICTURE = Media("image", PIXEL, "image/png", "pixel.png")
FILE = Media("file", b"This is an embedded resource content.", "text/plain", "embedded.txt")


class Nothing(BaseModel):
    """No arguments."""


def tool(name: str, run: Callable[[OperationCall], OperationResult]) -> Operation:
    """Returns a tool of the suite."""
    about = f"The suite's {name}."
    output = {"type": "object"}
    return Operation(name, name, about, Nothing, lambda e, given, call: run(call), output)


def said(text: str, *media: Media) -> Callable[[OperationCall], OperationResult]:
    """Returns what gives always the same."""
    return lambda call: OperationResult(text, {}, media=media)


def progress(call: OperationCall) -> OperationResult:
    """Tells three steps; our servers tell at most ten a second."""
    for done in (0.0, 0.5, 1.0):
        call.report("working", done)
        time.sleep(0.15)
    return OperationResult("Done.", {})


def failing(call: OperationCall) -> OperationResult:
    """Always fails."""
    raise ToolError("This tool intentionally returns an error for testing")


def service(user: str | None) -> McpService:
    """Returns all of it."""
    static = TextResource(
        "test://static-text",
        "Static text",
        "A text",
        "text/plain",
        lambda: "This is the content of the static text resource.",
    )
    picture = TextResource(
        "test://static-binary", "Static binary", "A picture", "image/png", lambda: PIXEL
    )
    template = TextTemplate(
        "test://template/{id}/data",
        "Template",
        "A text with its id",
        "application/json",
        lambda number: json.dumps({"id": number, "data": f"Data for ID: {number}"}),
    )

    def complete(name: str, begun: str) -> list[str]:
        return [word for word in ("testing", "test") if word.startswith(begun)]

    def embedded(uri: str) -> list[Any]:
        return [FILE, f"Please process the embedded resource above ({uri})."]

    return McpService(
        "conformance",
        "Conformance",
        None,
        [
            tool("test_simple_text", said("This is a simple text response for testing.")),
            tool("test_image_content", said("", PICTURE)),
            tool("test_audio_content", said("", Media("audio", SOUND, "audio/wav", "s.wav"))),
            tool("test_embedded_resource", said("", FILE)),
            tool("test_multiple_content_types", said("Multiple content types:", PICTURE, FILE)),
            tool("test_tool_with_progress", progress),
            tool("test_error_handling", failing),
        ],
        resources=lambda: [static, picture],
        templates=(template,),
        prompts=(
            PromptText("test_simple_prompt", "Simple", (), lambda: "This is a simple prompt."),
            PromptText(
                "test_prompt_with_arguments",
                "With arguments",
                ("arg1", "arg2"),
                lambda one, two: f"Prompt with arguments: arg1='{one}', arg2='{two}'",
                complete,
            ),
            PromptText(
                "test_prompt_with_embedded_resource", "With a file", ("resourceUri",), embedded
            ),
            PromptText(
                "test_prompt_with_image",
                "With a picture",
                (),
                lambda: [PICTURE, "Please analyze the image above."],
            ),
        ),
    )


if __name__ == "__main__":
    serve_http(service, HttpOptions(port=int(sys.argv[1]) if len(sys.argv) > 1 else 0))
