"""Operations as the tools of an MCP server."""

from __future__ import annotations

import base64
import functools
import hashlib
import logging
import time
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from qwenbelt.core.errors import QwenbeltError, one_line
from qwenbelt.core.language import user_language
from qwenbelt.mcp_servers.service import McpService, PromptText
from qwenbelt.tools.arguments import schema_of, validation_line
from qwenbelt.tools.operation import Media, Operation, OperationCall, OperationResult

log = logging.getLogger("qwenbelt.mcp")
_THREADS = 64
_PROGRESS_SECONDS = 0.1
_MOST_VALUES = 100  # of a completion, by the specification
_SMALLEST_STEP = 1e-6
Context = ServerRequestContext[Any, Any]


def build_server(service: McpService) -> Server[Any]:
    """Returns the server of a service, ready for any transport."""
    handlers = _Handlers(service)
    return Server(
        service.name,
        version=version("qwenbelt"),
        title=service.title,
        instructions=service.instructions or None,
        on_list_tools=handlers.list_tools,
        on_call_tool=handlers.call_tool,
        on_list_resources=handlers.list_resources,
        on_list_resource_templates=handlers.list_templates,
        on_read_resource=handlers.read_resource,
        on_list_prompts=handlers.list_prompts,
        on_get_prompt=handlers.get_prompt,
        on_completion=handlers.complete if any(t.complete for t in service.templates) else None,
    )


class _Handlers:
    def __init__(self, service: McpService) -> None:
        self._service = service
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._known: dict[str, Operation] | None = None
        self._tools: list[types.Tool] = []

    async def _operations(self) -> dict[str, Operation]:
        if self._known is None:
            given = self._service.operations
            found = await self._in_thread(given, OperationCall()) if callable(given) else given
            self._tools = [_declared_tool(o, self._service.open_world) for o in found]
            self._known = {operation.name: operation for operation in found}
        return self._known

    async def list_tools(self, ctx: Context, params: Any) -> types.ListToolsResult:
        await self._operations()
        return types.ListToolsResult(tools=self._tools)

    async def call_tool(
        self, ctx: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        operation = (await self._operations()).get(params.name)
        if operation is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {one_line(params.name, 100)}")
        try:
            arguments = operation.Arguments.model_validate(params.arguments or {})
        except ValidationError as error:
            return _failed_result(f"Wrong arguments for {operation.name}: {validation_line(error)}")
        call = OperationCall(language=user_language(), client=_client_session(ctx))
        call.report = _reporter(ctx)
        run = functools.partial(operation.run, self._service.engine, arguments, call)
        try:
            return _call_result(await self._in_thread(run, call))
        except QwenbeltError as error:
            return _failed_result(str(error))
        except Exception as error:  # the client gets one line, the log gets the rest
            log.exception("%s failed", operation.name)
            return _failed_result(f"{operation.name} failed inside: {type(error).__name__}.")

    async def _in_thread(self, run: Callable[[], Any], call: OperationCall) -> Any:
        try:
            return await anyio.to_thread.run_sync(
                run, abandon_on_cancel=True, limiter=self._threads
            )
        except anyio.get_cancelled_exc_class():
            call.cancelled.set()
            raise

    async def list_resources(self, ctx: Context, params: Any) -> types.ListResourcesResult:
        found = await self._in_thread(self._service.resources, OperationCall())
        return types.ListResourcesResult(
            resources=[
                types.Resource(
                    uri=r.uri, name=r.name, description=r.description, mime_type=r.mime_type
                )
                for r in found
            ]
        )

    async def list_templates(self, ctx: Context, params: Any) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(
            resource_templates=[
                types.ResourceTemplate(
                    uri_template=t.uri,
                    name=t.name,
                    description=t.description,
                    mime_type=t.mime_type,
                )
                for t in self._service.templates
            ]
        )

    async def read_resource(
        self, ctx: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        uri = str(params.uri)
        try:
            mime_type, text = await self._in_thread(lambda: self._read(uri), OperationCall())
        except QwenbeltError as error:
            raise MCPError(types.INVALID_PARAMS, str(error), {"uri": uri}) from error
        contents = types.TextResourceContents(uri=uri, mime_type=mime_type, text=text)
        return types.ReadResourceResult(contents=[contents])

    def _read(self, uri: str) -> tuple[str, str]:
        for resource in self._service.resources():
            if resource.uri == uri:
                return resource.mime_type, resource.read()
        for template in self._service.templates:
            start, _, end = template.uri.partition("{")
            end = end.partition("}")[2]
            if uri.startswith(start) and uri.endswith(end):
                return template.mime_type, template.read(uri[len(start) : len(uri) - len(end)])
        raise QwenbeltError(f"There is no resource {one_line(uri, 200)}.")

    async def complete(
        self, ctx: Context, params: types.CompleteRequestParams
    ) -> types.CompleteResult:
        asked = getattr(params.ref, "uri", None)
        template = next((t for t in self._service.templates if t.uri == asked), None)
        found: list[str] = []
        if template is not None and template.complete is not None:
            suggest = functools.partial(template.complete, params.argument.value)
            found = list(await self._in_thread(suggest, OperationCall()))
        values = found[:_MOST_VALUES]
        return types.CompleteResult(
            completion=types.Completion(
                values=values, total=len(found), has_more=len(found) > len(values)
            )
        )

    async def list_prompts(self, ctx: Context, params: Any) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=[_declared_prompt(p) for p in self._service.prompts])

    async def get_prompt(
        self, ctx: Context, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult:
        prompt = next((p for p in self._service.prompts if p.name == params.name), None)
        given = (params.arguments or {}).get(prompt.argument, "") if prompt else ""
        if prompt is None or (prompt.argument and not given):
            raise MCPError(
                types.INVALID_PARAMS, "There is no such prompt, or its argument is missing."
            )
        content = types.TextContent(text=prompt.make(given))
        message = types.PromptMessage(role="user", content=content)
        return types.GetPromptResult(description=prompt.description, messages=[message])


def _declared_prompt(prompt: PromptText) -> types.Prompt:
    arguments = [types.PromptArgument(name=prompt.argument, required=True)]
    return types.Prompt(
        name=prompt.name,
        description=prompt.description,
        arguments=arguments if prompt.argument else None,
    )


def _declared_tool(operation: Operation, open_world: bool) -> types.Tool:
    return types.Tool(
        name=operation.name,
        title=operation.title,
        description=operation.description,
        input_schema=schema_of(operation.Arguments),
        output_schema=operation.output,
        annotations=types.ToolAnnotations(
            title=operation.title,
            read_only_hint=operation.read_only,
            destructive_hint=operation.destructive,
            idempotent_hint=operation.idempotent or operation.read_only,
            open_world_hint=open_world,
        ),
    )


def _client_session(ctx: Context) -> str:
    """Returns a name for the client's session; "" over stdio, where there is one client.

    From protocol 2026-07-28 on there are no sessions over HTTP. Then it is one for each program
    (as it names itself) on each machine.
    """
    headers = getattr(ctx.request, "headers", None)
    if headers is None:
        return ""
    session = headers.get("mcp-session-id")
    if session:
        return str(session)
    address = getattr(ctx.request, "client", None)
    known = ctx.session.client_params
    program = known.client_info.model_dump_json() if known and known.client_info else ""
    host = address.host if address is not None else ""
    who = f"{host} {program} {headers.get('authorization', '')}"
    return hashlib.sha256(who.encode()).hexdigest()[:32]


def _reporter(ctx: Context) -> Callable[..., None]:
    """Returns what reports progress to the client, from any thread, and not too often."""
    loop_token = anyio.lowlevel.current_token()
    last = done = 0.0

    def report(text: str, fraction: float | None = None) -> None:
        nonlocal last, done
        now = time.monotonic()
        if now - last < _PROGRESS_SECONDS:
            return
        last = now
        # the protocol wants each number to be higher than the one before
        done = max(done + _SMALLEST_STEP, fraction or 0.0)
        total = 1.0 if fraction is not None and done <= 1 else None
        send: Callable[[], Coroutine[Any, Any, None]] = functools.partial(
            ctx.session.report_progress, done, total, text or None
        )
        anyio.from_thread.run(send, token=loop_token)

    return report


def _failed_result(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=True)


def _call_result(reply: OperationResult) -> types.CallToolResult:
    content: list[Any] = [_content_block(media) for media in reply.media]
    data = reply.data
    if reply.media_in_data:
        blocks = [b.model_dump(mode="json", by_alias=True, exclude_none=True) for b in content]
        data = {"content": blocks, **data}
    if reply.text or not content:
        content.insert(0, types.TextContent(text=reply.text))
    if reply.note:
        content.append(types.TextContent(text=reply.note))
    return types.CallToolResult(content=content, structured_content=data)


def _content_block(media: Media) -> Any:
    data = base64.b64encode(media.data).decode("ascii")
    if media.kind == "image":
        return types.ImageContent(data=data, mime_type=media.mime_type)
    if media.kind == "audio":
        return types.AudioContent(data=data, mime_type=media.mime_type)
    uri = f"file:///{quote(media.name.lstrip('/'), errors='replace')}"
    blob = types.BlobResourceContents(uri=uri, blob=data, mime_type=media.mime_type)
    return types.EmbeddedResource(resource=blob)
