"""What a server of ours answers to each method, as plain JSON values.

Both transports use it: `stdio.py` as it is, `serving.py` inside the SDK's server. Nothing heavy is
imported here: the list of tools of a server that keeps it in a file goes out before its operations,
their argument models and the SDK are needed.
"""

from __future__ import annotations

import base64
import functools
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from qwenbelt.core.errors import QwenbeltError, one_line
from qwenbelt.core.terminal import visible_text
from qwenbelt.core.texts import Texts

if TYPE_CHECKING:
    from qwenbelt.mcp_servers.service import McpService, PromptText
    from qwenbelt.mcp_servers.tasks import TaskBook
    from qwenbelt.tools.operation import Media, Operation, OperationCall, OperationResult

TASKS = "io.modelcontextprotocol/tasks"
_CLIENT = "io.modelcontextprotocol/clientCapabilities"
log = logging.getLogger("qwenbelt.mcp")
INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32600, -32601, -32602, -32603
_MOST_VALUES = 100  # of a completion, by the specification
# what a list says does not change while a server runs; what is read may change at any time
_LASTING = {"ttlMs": 3_600_000, "cacheScope": "private"}
_PASSING = {"ttlMs": 0, "cacheScope": "private"}


class ProtocolFault(Exception):
    """A JSON-RPC error as the reply to a request."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


_say = Texts(
    {
        "hidden": (
            "(Characters that cannot be seen are shown as escapes such as \\u202e; the structured "
            "content has them as they are.)",
            "（看不见的字符以 \\u202e 这样的转义显示；结构化内容中保持原样。）",
        )
    }
)
Handler = Callable[[Mapping[str, Any], "OperationCall"], dict[str, Any]]


class McpHandlers:
    """The methods of one service; `handle` may run in many threads at once."""

    def __init__(self, service: McpService) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._known: dict[str, Operation] | None = None
        self._tools: list[dict[str, Any]] | None = None
        self.methods: dict[str, Handler] = {
            "tools/list": lambda params, call: {"tools": self.tools(), **_LASTING},
            "tools/call": self._call_tool,
            "resources/list": self._list_resources,
            "resources/templates/list": self._list_templates,
            "resources/read": self._read_resource,
            "prompts/list": self._list_prompts,
            "prompts/get": self._get_prompt,
        }
        completing = [
            *(t.complete for t in service.templates),
            *(p.complete for p in service.prompts),
        ]
        if any(completing):
            self.methods["completion/complete"] = self._complete
        if service.tasks:
            self.methods["tasks/get"] = self._look_at_task
            self.methods["tasks/cancel"] = self._cancel_task
            self.methods["tasks/update"] = self._update_task
        self._tasks: TaskBook | None = None

    def capabilities(self) -> dict[str, Any]:
        """Returns what the server offers, as the handshake tells it."""
        found: dict[str, Any] = {
            "prompts": {"listChanged": False},
            "resources": {"subscribe": False, "listChanged": False},
            "tools": {"listChanged": False},
        }
        if "completion/complete" in self.methods:
            found["completions"] = {}
        if self._service.tasks:
            found["extensions"] = {TASKS: {}}
        return found

    def handle(self, method: str, params: Mapping[str, Any], call: OperationCall) -> dict[str, Any]:
        """Returns the result of a request.

        Raises:
            ProtocolFault: the request cannot be answered.
        """
        handler = self.methods.get(method)
        if handler is None:
            raise ProtocolFault(METHOD_NOT_FOUND, "Method not found", one_line(method, 100))
        return handler(params, call)

    def tools(self) -> list[dict[str, Any]]:
        """Returns the tools as the list tells them."""
        if self._tools is None:
            declared = self._service.declared
            open_world = self._service.open_world
            self._tools = (
                declared()
                if declared is not None
                else [declared_tool(o, open_world) for o in self.operations().values()]
            )
        return self._tools

    def changes(self, name: str) -> bool:
        """Returns whether a tool of that name changes something."""
        return any(t["name"] == name and not t["annotations"]["readOnlyHint"] for t in self.tools())

    def operations(self) -> dict[str, Operation]:
        """Returns the tools' implementations by name; imports them at the first call."""
        with self._lock:
            if self._known is None:
                given = self._service.operations
                found: Sequence[Operation] = given() if callable(given) else given
                self._known = {operation.name: operation for operation in found}
            return self._known

    def _call_tool(self, params: Mapping[str, Any], call: OperationCall) -> dict[str, Any]:
        name, given = _text_of(params, "name"), params.get("arguments")
        if given is not None and not isinstance(given, Mapping):
            raise ProtocolFault(INVALID_PARAMS, "The arguments must be an object.")
        operation = self.operations().get(name)
        if operation is None:
            raise ProtocolFault(INVALID_PARAMS, f"Unknown tool: {one_line(name, 100)}")
        if not operation.read_only and not call.may_write:
            return _failed_result(f"{name} changes something, and your token may only read.")
        try:
            arguments = operation.Arguments.model_validate(given or {})
        except ValueError as error:
            return _failed_result(f"Wrong arguments for {name}: {_wrong_arguments(error)}")
        if operation.long and self._service.tasks and understands_tasks(params):
            begun = self._book().begin(call, lambda own: self._done(operation, arguments, own))
            return begun or _failed_result("Too many of your tasks are running.")
        return self._done(operation, arguments, call)

    def _done(self, operation: Operation, arguments: Any, call: OperationCall) -> dict[str, Any]:
        try:
            reply = operation.run(self._service.engine, arguments, call)
            return _call_result(reply, call.language)
        except QwenbeltError as error:
            return _failed_result(str(error))
        except Exception as error:  # the client gets one line, the log gets the rest
            log.exception("%s failed", operation.name)
            return _failed_result(f"{operation.name} failed inside: {type(error).__name__}.")

    def _book(self) -> TaskBook:
        from qwenbelt.mcp_servers.tasks import TaskBook

        with self._lock:
            if self._tasks is None:
                self._tasks = TaskBook()
            return self._tasks

    def busy(self) -> bool:
        """Returns whether a task is running."""
        return self._tasks is not None and self._tasks.busy()

    def _look_at_task(self, params: Mapping[str, Any], call: OperationCall) -> dict[str, Any]:
        number = _text_of(params, "taskId")
        found = self._book().look(call.client, number)
        if found is None:
            raise ProtocolFault(INVALID_PARAMS, f"Task not found: {one_line(number, 100)}")
        return found

    def _cancel_task(self, params: Mapping[str, Any], call: OperationCall) -> dict[str, Any]:
        number = _text_of(params, "taskId")
        if not self._book().cancel(call.client, number):
            raise ProtocolFault(INVALID_PARAMS, f"Task not found: {one_line(number, 100)}")
        return {}

    def _update_task(self, params: Mapping[str, Any], call: OperationCall) -> dict[str, Any]:
        self._look_at_task(params, call)
        raise ProtocolFault(INVALID_PARAMS, "The task asks for nothing.")

    def _list_resources(self, params: Mapping[str, Any], call: OperationCall) -> dict[str, Any]:
        found = [
            {"uri": r.uri, "name": r.name, "description": r.description, "mimeType": r.mime_type}
            for r in self._service.resources()
        ]
        return {"resources": found, **_PASSING}

    def _list_templates(self, params: Mapping[str, Any], call: OperationCall) -> dict[str, Any]:
        found = [
            {
                "uriTemplate": t.uri,
                "name": t.name,
                "description": t.description,
                "mimeType": t.mime_type,
            }
            for t in self._service.templates
        ]
        return {"resourceTemplates": found, **_LASTING}

    def _read_resource(self, params: Mapping[str, Any], call: OperationCall) -> dict[str, Any]:
        uri = _text_of(params, "uri")
        try:
            mime_type, read = self._read(uri)
        except QwenbeltError as error:
            raise ProtocolFault(INVALID_PARAMS, str(error), {"uri": uri}) from error
        content = {"uri": uri, "mimeType": mime_type}
        if isinstance(read, bytes):
            content["blob"] = base64.b64encode(read).decode("ascii")
        else:
            content["text"] = visible_text(read)
        return {"contents": [content], **_PASSING}

    def _read(self, uri: str) -> tuple[str, str | bytes]:
        for resource in self._service.resources():
            if resource.uri == uri:
                return resource.mime_type, resource.read()
        for template in self._service.templates:
            start, _, end = template.uri.partition("{")
            end = end.partition("}")[2]
            if uri.startswith(start) and uri.endswith(end):
                return template.mime_type, template.read(uri[len(start) : len(uri) - len(end)])
        raise QwenbeltError(f"There is no resource {one_line(uri, 200)}.")

    def _complete(self, params: Mapping[str, Any], call: OperationCall) -> dict[str, Any]:
        asked, argument = params.get("ref"), params.get("argument")
        if not isinstance(asked, Mapping) or not isinstance(argument, Mapping):
            raise ProtocolFault(INVALID_PARAMS, "ref and argument are needed.")
        found: list[str] = []
        for template in self._service.templates:
            if template.uri == asked.get("uri") and template.complete is not None:
                found = list(template.complete(_text_of(argument, "value")))
        for prompt in self._service.prompts:
            if prompt.name == asked.get("name") and prompt.complete is not None:
                given = _text_of(argument, "name"), _text_of(argument, "value")
                found = list(prompt.complete(*given))
        values = found[:_MOST_VALUES]
        more = {"total": len(found), "hasMore": len(found) > len(values)}
        return {"completion": {"values": values, **more}}

    def _list_prompts(self, params: Mapping[str, Any], call: OperationCall) -> dict[str, Any]:
        return {"prompts": [_declared_prompt(p) for p in self._service.prompts], **_LASTING}

    def _get_prompt(self, params: Mapping[str, Any], call: OperationCall) -> dict[str, Any]:
        prompt = next((p for p in self._service.prompts if p.name == params.get("name")), None)
        arguments = params.get("arguments") or {}
        if not isinstance(arguments, Mapping):
            raise ProtocolFault(INVALID_PARAMS, "The arguments must be an object.")
        given = [str(arguments.get(name) or "") for name in prompt.arguments] if prompt else []
        if prompt is None or not all(given):
            raise ProtocolFault(
                INVALID_PARAMS, "There is no such prompt, or its argument is missing."
            )
        made = prompt.make(*given)
        messages = [
            {
                "role": "user",
                "content": {"type": "text", "text": part}
                if isinstance(part, str)
                else _content_block(part),
            }
            for part in ([made] if isinstance(made, str) else made)
        ]
        return {"description": prompt.description, "messages": messages}


def understands_tasks(params: Mapping[str, Any]) -> bool:
    """Returns whether the client of a request says that it can be answered with a task."""
    place: Any = params
    for key in ("_meta", _CLIENT, "extensions"):
        place = place.get(key) if isinstance(place, Mapping) else None
    return isinstance(place, Mapping) and TASKS in place


def _text_of(params: Mapping[str, Any], name: str) -> str:
    found = params.get(name)
    if not isinstance(found, str):
        raise ProtocolFault(INVALID_PARAMS, f"{name} must be a string.")
    return found


def _wrong_arguments(error: ValueError) -> str:
    from pydantic import ValidationError

    from qwenbelt.tools.arguments import validation_line

    return validation_line(error) if isinstance(error, ValidationError) else one_line(str(error))


def _declared_prompt(prompt: PromptText) -> dict[str, Any]:
    found: dict[str, Any] = {"name": prompt.name, "description": prompt.description}
    if prompt.arguments:
        found["arguments"] = [{"name": name, "required": True} for name in prompt.arguments]
    return found


def declared_tool(operation: Operation, open_world: bool = False) -> dict[str, Any]:
    """Returns an operation as the list of tools tells it."""
    from qwenbelt.tools.arguments import schema_of

    return {
        "name": operation.name,
        "title": operation.title,
        "description": operation.description,
        "inputSchema": schema_of(operation.Arguments),
        "outputSchema": operation.output,
        "annotations": {
            "title": operation.title,
            "readOnlyHint": operation.read_only,
            "destructiveHint": operation.destructive,
            "idempotentHint": operation.idempotent or operation.read_only,
            "openWorldHint": open_world,
        },
    }


def _failed_result(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": visible_text(text)}], "isError": True}


def _call_result(reply: OperationResult, language: str) -> dict[str, Any]:
    text = visible_text(reply.text)
    content = [_content_block(media) for media in reply.media]
    data = {"content": list(content), **reply.data} if reply.media_in_data else reply.data
    if reply.text or not content:
        content.insert(0, {"type": "text", "text": text})
    if reply.note:
        content.append({"type": "text", "text": visible_text(reply.note)})
    if text != reply.text:
        content.append({"type": "text", "text": _say("hidden", language)})
    return {"content": content, "structuredContent": data, "isError": False}


def _content_block(media: Media) -> dict[str, Any]:
    data = base64.b64encode(media.data).decode("ascii")
    if media.kind != "file":
        return {"type": media.kind, "data": data, "mimeType": media.mime_type}
    uri = f"file:///{quote(media.name.lstrip('/'), errors='replace')}"
    blob = {"uri": uri, "mimeType": media.mime_type, "blob": data}
    return {"type": "resource", "resource": blob}


@functools.lru_cache(maxsize=1)
def package_version() -> str:
    """Returns the version that servers tell."""
    from importlib.metadata import version

    return version("qwenbelt")
