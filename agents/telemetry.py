"""OpenTelemetry spans and metrics of runs, by the semantic conventions for generative AI.

    pip install "qwenbelt[otel]"
    QWENBELT_OTEL=1 OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 qwenbelt run "…"

or `telemetry.enable()` in Python, with the providers that the program has set up. Texts, arguments
and results are left out unless `content=True`, or
`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says so, and then keys are masked.

Names are those of https://opentelemetry.io/docs/specs/semconv/gen-ai/ as OpenTelemetry's own
Python package for them (`opentelemetry-util-genai` 1.3) uses them; what it has no name for begins
with `qwenbelt.`. Instrumentation made for qwen-agent's and openai's classes wraps methods that our
agents replace or do not call, so nothing is reported twice.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from qwenbelt.agents.models.dialects import GENERIC, dialect_of
from qwenbelt.core.errors import ConfigError, QwenbeltError
from qwenbelt.core.events import (
    Done,
    Event,
    ModelFinished,
    ModelStarted,
    RunStarted,
    ToolCallReady,
    ToolFinished,
    ToolStarted,
    Usage,
)
from qwenbelt.core.extras import fix_of, require_extra
from qwenbelt.core.secrets import mask_secrets
from qwenbelt.core.spans import tell_spans

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_YES = ("1", "true", "yes", "on", "span_only", "span_and_event")
_lock = threading.Lock()
_telemetry: Telemetry | None = None
_asked = False
SCOPE = "qwenbelt"
_DATASTORES = ("document_search", "read_document")
_AZURE = {"azure": "azure.ai.openai"}  # the conventions' name
# bucket boundaries that the conventions ask for
_SECONDS = [0.01 * 2**n for n in range(14)]
_RUN_SECONDS = [0.1 * 2**n for n in range(13)]
_TOKENS = [4**n for n in range(14)]

# how calls end, as error.type; "" for well
_SPAN_ERRORS = {"ok": "", "failed": "tool_error"}


def _says_yes(name: str) -> bool:
    return os.environ.get(name, "").lower() in _YES


def observer() -> RunSpans | None:
    """Returns what a new run reports its events to, or None while telemetry is off."""
    telemetry = _current_observer()
    return None if telemetry is None else RunSpans(telemetry)


def reply_span(model: str, url: str) -> AbstractContextManager[None]:
    """Reports a reply that our chat model gives to an agent that is not ours."""
    telemetry = _current_observer()
    return nullcontext() if telemetry is None else lone_chat(telemetry, model, url)


def _current_observer() -> Telemetry | None:
    global _asked
    if _telemetry is None and not _asked:
        with _lock:
            ask, _asked = not _asked, True
        if ask and _says_yes("QWENBELT_OTEL"):
            enable(_exporting=True)
    return _telemetry


def enable(
    tracers: TracerProvider | None = None,
    meters: MeterProvider | None = None,
    *,
    content: bool | None = None,
    _exporting: bool = False,
) -> None:
    """Reports every run of this process from now on.

    Args:
        tracers: where spans go; by default the provider that the program has set.
        meters: where metrics go; by default the provider that the program has set.
        content: also report texts, arguments and results.

    Raises:
        ConfigError: OpenTelemetry is not installed.
    """
    global _telemetry
    if _exporting:
        require_extra("otel")
        _export_by_otlp()
    elif importlib.util.find_spec("opentelemetry") is None:
        raise ConfigError("OpenTelemetry is not installed.", fix=fix_of("otel"))
    _telemetry = Telemetry(tracers, meters, _says_yes(CONTENT) if content is None else content)
    tell_spans(_telemetry.tracer)


def disable() -> None:
    """Stops reporting."""
    global _telemetry
    _telemetry = None
    tell_spans(None)


def _export_by_otlp() -> None:
    """Sends all spans and metrics of this process by OTLP over HTTP, unless it does so already.

    `OTEL_*` variables say where and how. The MCP package's own spans go there, too.
    """
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return
    name = os.environ.get("OTEL_SERVICE_NAME", "qwenbelt")
    resource = Resource.create({"service.name": name})
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(tracers)
    readers = [PeriodicExportingMetricReader(OTLPMetricExporter())]
    metrics.set_meter_provider(MeterProvider(resource=resource, metric_readers=readers))


class Telemetry:
    """The tracer and the instruments of this process.

    Attributes:
        content: whether texts, arguments and results are reported.
    """

    def __init__(
        self, tracers: TracerProvider | None, meters: MeterProvider | None, content: bool
    ) -> None:
        from opentelemetry import metrics, trace

        self.tracer = trace.get_tracer(SCOPE, tracer_provider=tracers)
        self.content = content
        meter = metrics.get_meter(SCOPE, meter_provider=meters)

        def histogram(name: str, unit: str, what: str, bounds: list[float]) -> Any:
            return meter.create_histogram(
                name, unit, what, explicit_bucket_boundaries_advisory=bounds
            )

        self.chat = histogram(
            "gen_ai.client.operation.duration", "s", "How long replies took.", _SECONDS
        )
        self.first_chunk = histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            "s",
            "From a request to the first chunk of its reply.",
            _SECONDS,
        )
        self.tokens = histogram(
            "gen_ai.client.token.usage", "{token}", "Tokens of a reply.", [*_TOKENS]
        )
        self.tool = histogram(
            "gen_ai.execute_tool.duration", "s", "How long calls of tools took.", _SECONDS
        )
        self.run = histogram(
            "gen_ai.invoke_agent.duration", "s", "How long runs took.", _RUN_SECONDS
        )
        self.queue = histogram(
            "qwenbelt.tool.queue.duration", "s", "From a call's last byte to its start.", _SECONDS
        )


class RunSpans:
    """Turns the events of one run into spans and metrics."""

    def __init__(self, telemetry: Telemetry) -> None:
        from opentelemetry import context

        self._telemetry = telemetry
        self._outside = context.get_current()
        self._context: Any = self._outside
        self._run: Span | None = None
        self._chats: dict[int, tuple[Span, float]] = {}
        self._written: tuple[Span, float] | None = None  # its tokens may still be reported
        self._calls: dict[str, Span] = {}
        self._arguments: dict[str, str] = {}
        self._agent = ""
        self._common: dict[str, Any] = {}
        self._began = 0.0
        self._tokens = [0, 0]
        # events carry the monotonic clock, spans want the time of day
        self._epoch = time.time() - time.monotonic()

    def open(self, agent: str, model: str, url: str) -> None:
        """Begins the run's span, the parent of all that the calling task does from now on."""
        from opentelemetry import trace

        self._began = time.monotonic()
        self._agent = agent
        self._common = {"gen_ai.request.model": model, **_provider_and_address(url)}
        extra = {"gen_ai.agent.name": agent}
        self._run = self._span(f"invoke_agent {agent}", "invoke_agent", self._began, **extra)
        self._context = trace.set_span_in_context(self._run, self._outside)
        _attach_context(self._context)

    def see(self, event: Event) -> None:
        """Takes in one event."""
        if self._run is None:
            return
        if self._written is not None and not isinstance(event, Usage):
            self._end_chat()
        if isinstance(event, RunStarted):
            self._started(event, self._run)
        elif isinstance(event, ModelStarted):
            name = f"chat {self._common['gen_ai.request.model']}"
            span = self._span(name, "chat", event.started)
            self._chats[event.turn] = (span, event.started)
        elif isinstance(event, ModelFinished):
            self._reply(event)
        elif isinstance(event, Usage):
            self._usage(event)
        elif isinstance(event, ToolCallReady):
            self._arguments[event.call_id] = event.arguments
        else:
            self._later(event, self._run)

    def _later(self, event: Event, run: Span) -> None:
        if isinstance(event, ToolStarted):
            self._tool_started(event)
        elif isinstance(event, ToolFinished):
            self._tool(event)
        elif isinstance(event, Done):
            self._end(event, run)

    def _ns(self, moment: float) -> int:
        return int((moment + self._epoch) * 1e9)

    def _span(self, name: str, operation: str, began: float, **attributes: Any) -> Span:
        from opentelemetry.trace import SpanKind

        values = {"gen_ai.operation.name": operation, **self._common, **attributes}
        kind = SpanKind.CLIENT if operation == "chat" else SpanKind.INTERNAL
        return self._telemetry.tracer.start_span(
            name, self._context, kind, values, start_time=self._ns(began)
        )

    def _started(self, event: RunStarted, run: Span) -> None:
        run.set_attribute("gen_ai.conversation.id", event.run_id)
        if self._telemetry.content:
            run.set_attribute("gen_ai.input.messages", _json(event.messages))

    def _reply(self, event: ModelFinished) -> None:
        span, began = self._chats.pop(event.turn)
        span.set_attribute("gen_ai.response.finish_reasons", [event.finish_reason])
        values = {**self._common, "gen_ai.operation.name": "chat"}
        if event.first_token is not None:
            waited = event.first_token - began
            span.set_attribute("gen_ai.response.time_to_first_chunk", waited)
            self._telemetry.first_chunk.record(waited, values)
        self._written = (span, event.finished)
        self._telemetry.chat.record(event.finished - began, values)

    def _end_chat(self) -> None:
        if self._written is not None:
            span, finished = self._written
            span.end(self._ns(finished))
            self._written = None

    def _usage(self, event: Usage) -> None:
        counted = (("input", event.input_tokens), ("output", event.output_tokens))
        for number, (kind, count) in enumerate(counted):
            self._tokens[number] += count
            values = {**self._common, "gen_ai.operation.name": "chat", "gen_ai.token.type": kind}
            self._telemetry.tokens.record(count, values)
            if self._written is not None:
                self._written[0].set_attribute(f"gen_ai.usage.{kind}_tokens", count)
        parts = (
            ("cache_read.input", event.cached_tokens),
            ("cache_creation.input", event.cache_write_tokens),
            ("reasoning.output", event.reasoning_tokens),
        )
        for part, count in parts:
            if count and self._written is not None:
                self._written[0].set_attribute(f"gen_ai.usage.{part}_tokens", count)
        if event.cost is not None and self._written is not None:
            self._written[0].set_attribute("qwenbelt.usage.cost", event.cost)
            self._written[0].set_attribute("qwenbelt.usage.currency", event.currency)
        self._end_chat()

    def _tool_started(self, event: ToolStarted) -> None:
        from opentelemetry import trace

        span = self._call_span(event.call_id, event.name, event.started)
        self._calls[event.call_id] = span
        # reported in the call's own task, so the context ends with it
        _attach_context(trace.set_span_in_context(span, self._context))

    def _call_span(self, call_id: str, name: str, began: float) -> Span:
        extra = {
            "gen_ai.agent.name": self._agent,
            "gen_ai.tool.name": name,
            "gen_ai.tool.call.id": call_id,
            "gen_ai.tool.type": _tool_type(name),
        }
        return self._span(f"execute_tool {name}", "execute_tool", began, **extra)

    def _tool(self, event: ToolFinished) -> None:
        began = event.started if event.started is not None else event.finished
        span = self._calls.pop(event.call_id, None)
        if span is None:  # it never ran, or took the result of an identical call
            span = self._call_span(event.call_id, event.name, began)
        span.set_attribute("qwenbelt.tool.queue_seconds", began - event.sealed)
        arguments = self._arguments.pop(event.call_id, "")
        if self._telemetry.content:
            span.set_attribute("gen_ai.tool.call.arguments", mask_secrets(arguments))
            span.set_attribute("gen_ai.tool.call.result", mask_secrets(event.result))
        values = {
            "gen_ai.agent.name": self._agent,
            "gen_ai.tool.name": event.name,
            "gen_ai.tool.type": _tool_type(event.name),
        }
        self._telemetry.queue.record(began - event.sealed, values)
        error = _SPAN_ERRORS.get(event.status, event.status)
        _mark_failed(span, error)
        span.end(self._ns(event.finished))
        self._telemetry.tool.record(event.finished - began, _with_error(values, error))

    def _end(self, event: Done, run: Span) -> None:
        broken = [span for span, _ in self._chats.values()]  # replies that broke off
        for span in (*broken, *self._calls.values()):
            _mark_failed(span, event.reason)
            span.end()
        run.set_attribute("gen_ai.usage.input_tokens", self._tokens[0])
        run.set_attribute("gen_ai.usage.output_tokens", self._tokens[1])
        run.set_attribute("qwenbelt.end_reason", event.reason)
        if self._telemetry.content:
            run.set_attribute("gen_ai.output.messages", _json(event.messages))
        error = "" if event.reason == "answer" else event.reason
        _mark_failed(run, error)
        run.end()
        model = self._common["gen_ai.request.model"]
        values = {"gen_ai.agent.name": self._agent, "gen_ai.request.model": model}
        self._telemetry.run.record(time.monotonic() - self._began, _with_error(values, error))
        self._run = None


@contextlib.contextmanager
def lone_chat(telemetry: Telemetry, model: str, url: str) -> Iterator[None]:
    """Reports a reply that is no part of a run of ours, such as one that a stock agent wants."""
    from opentelemetry.trace import SpanKind

    values = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": model,
        **_provider_and_address(url),
    }
    # a generator's reader may close it anywhere, so nothing is attached to the context
    span = telemetry.tracer.start_span(f"chat {model}", kind=SpanKind.CLIENT, attributes=values)
    began, error = time.monotonic(), ""
    try:
        yield
    except QwenbeltError as failure:
        error = type(failure).__name__
        raise
    finally:
        _mark_failed(span, error)
        span.end()
        telemetry.chat.record(time.monotonic() - began, _with_error(values, error))


def _provider_and_address(url: str) -> dict[str, Any]:
    """Returns who answers, by the conventions' name where they have one, and where."""
    place = urlsplit(url)
    if not place.hostname:
        return {"gen_ai.provider.name": "local"}
    dialect = dialect_of("", url)
    known = place.hostname if dialect is GENERIC else dialect.name
    return {
        "gen_ai.provider.name": _AZURE.get(known, known),
        "server.address": place.hostname,
        "server.port": place.port or (443 if place.scheme == "https" else 80),
    }


def _tool_type(name: str) -> str:
    return "datastore" if name in _DATASTORES else "function"


def _attach_context(context: Any) -> None:
    from opentelemetry import context as contexts

    contexts.attach(context)


def _mark_failed(span: Span, error: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    if error:
        span.set_attribute("error.type", error)
        span.set_status(Status(StatusCode.ERROR, error))


def _with_error(values: dict[str, Any], error: str) -> dict[str, Any]:
    return {**values, "error.type": error} if error else values


def _json(value: Any) -> str:
    return mask_secrets(json.dumps(value, ensure_ascii=False, default=str))
