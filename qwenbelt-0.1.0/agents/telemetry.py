"""OpenTelemetry spans and metrics of runs, by the semantic conventions for generative AI.

    pip install "qwenbelt[otel]"
    QWENBELT_OTEL=1 OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 qwenbelt run "…"

or `telemetry.enable()` in Python, with the providers that the program has set up. A run is one
`invoke_agent` span; its `chat` and `execute_tool` spans carry the times of the events, so parallel
calls lie side by side. Texts, arguments and results are left out unless `content=True`
(`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true`), and then keys are masked.

Names are those of https://opentelemetry.io/docs/specs/semconv/gen-ai/ (1.37); what it has no name
for begins with `qwenbelt.`. Instrumentation made for qwen-agent's own classes wraps methods that
our agents replace, so nothing is told twice.
"""

from __future__ import annotations

import importlib.util
import json
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from qwenbelt.core.errors import ConfigError
from qwenbelt.core.events import (
    Done,
    Event,
    ModelFinished,
    ModelStarted,
    RunStarted,
    ToolCallReady,
    ToolFinished,
    Usage,
)
from qwenbelt.core.secrets import scrub

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

Observer = Callable[[Event], None]
SCOPE = "qwenbelt"
CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_DATASTORES = ("document_search", "read_document")
_lock = threading.Lock()
_telemetry: Telemetry | None = None
_asked = False


def _truthy(name: str) -> bool:
    return os.environ.get(name, "").lower() in ("1", "true", "yes", "on")


def observer() -> Observer | None:
    """Returns what a new run tells its events to, or None while telemetry is off."""
    global _asked
    if _telemetry is None and not _asked:
        with _lock:
            ask, _asked = not _asked, True
        if ask and _truthy("QWENBELT_OTEL"):
            enable(_exporting=True)
    return None if _telemetry is None else RunSpans(_telemetry).see


def enable(
    tracers: TracerProvider | None = None,
    meters: MeterProvider | None = None,
    *,
    content: bool | None = None,
    _exporting: bool = False,
) -> None:
    """Tells every run of this process from now on.

    Args:
        tracers: where spans go; by default the provider that the program has set.
        meters: where metrics go; by default the provider that the program has set.
        content: also tell texts, arguments and results.

    Raises:
        ConfigError: OpenTelemetry is not installed.
    """
    global _telemetry
    if importlib.util.find_spec("opentelemetry") is None or (
        _exporting and importlib.util.find_spec("opentelemetry.sdk") is None
    ):
        raise ConfigError("OpenTelemetry is not installed.", fix='pip install "qwenbelt[otel]"')
    if _exporting:
        tracers, meters = _exporters()
    _telemetry = Telemetry(tracers, meters, _truthy(CONTENT) if content is None else content)


def disable() -> None:
    """Tells nothing any more."""
    global _telemetry
    _telemetry = None


def _exporters() -> tuple[TracerProvider, MeterProvider]:
    """Providers that send by OTLP over HTTP; `OTEL_*` variables say where and how."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider as Meters
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider as Tracers
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME", SCOPE)
    resource = Resource.create({"service.name": name})
    tracers = Tracers(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    readers = [PeriodicExportingMetricReader(OTLPMetricExporter())]
    return tracers, Meters(resource=resource, metric_readers=readers)


class Telemetry:
    """The tracer and the instruments of this process."""

    def __init__(
        self, tracers: TracerProvider | None, meters: MeterProvider | None, content: bool
    ) -> None:
        from opentelemetry import metrics, trace

        self.tracer = trace.get_tracer(SCOPE, tracer_provider=tracers)
        self.content = content
        meter = metrics.get_meter(SCOPE, meter_provider=meters)
        self.duration = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", "How long runs, replies and calls took."
        )
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "Tokens of a reply."
        )
        self.queue = meter.create_histogram(
            "qwenbelt.tool.queue.duration", "s", "From a call's last byte to its start."
        )


class RunSpans:
    """Turns the events of one run into spans."""

    def __init__(self, telemetry: Telemetry) -> None:
        from opentelemetry import context

        self._telemetry = telemetry
        self._outside = context.get_current()
        self._context: Any = None
        self._run: Span | None = None
        self._chats: dict[int, tuple[Span, float]] = {}
        self._written: tuple[Span, float] | None = None  # a reply whose tokens may still be told
        self._arguments: dict[str, str] = {}
        self._common: dict[str, Any] = {}
        self._began = 0.0
        self._tokens = [0, 0]
        # events carry the monotonic clock, spans want the time of day
        self._epoch = time.time() - time.monotonic()

    def see(self, event: Event) -> None:
        """Takes in one event."""
        if self._written is not None and not isinstance(event, Usage):
            self._end_chat()
        if isinstance(event, RunStarted):
            self._start(event)
        elif self._run is None:
            return
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
        elif isinstance(event, ToolFinished):
            self._tool(event)
        elif isinstance(event, Done):
            self._end(event, self._run)

    def _ns(self, moment: float) -> int:
        return int((moment + self._epoch) * 1e9)

    def _span(self, name: str, operation: str, began: float, **attributes: Any) -> Span:
        values = {"gen_ai.operation.name": operation, **self._common, **attributes}
        kind = self._kind(operation)
        return self._telemetry.tracer.start_span(
            name, self._context, kind, values, start_time=self._ns(began)
        )

    @staticmethod
    def _kind(operation: str) -> Any:
        from opentelemetry.trace import SpanKind

        return SpanKind.CLIENT if operation == "chat" else SpanKind.INTERNAL

    def _start(self, event: RunStarted) -> None:
        from opentelemetry import trace

        place = urlsplit(event.endpoint)
        self._began = time.monotonic()
        self._common = {
            "gen_ai.provider.name": place.hostname or "local",
            "gen_ai.request.model": event.model,
        }
        if place.hostname:
            self._common["server.address"] = place.hostname
            self._common["server.port"] = place.port or (443 if place.scheme == "https" else 80)
        self._context = self._outside
        extra: dict[str, Any] = {
            "gen_ai.agent.name": event.agent,
            "gen_ai.conversation.id": event.run_id,
        }
        if self._telemetry.content:
            extra["gen_ai.input.messages"] = _json(event.messages)
        self._run = self._span(f"invoke_agent {event.agent}", "invoke_agent", self._began, **extra)
        self._context = trace.set_span_in_context(self._run, self._outside)

    def _reply(self, event: ModelFinished) -> None:
        span, began = self._chats.pop(event.turn)
        span.set_attribute("gen_ai.response.finish_reasons", [event.finish_reason])
        if event.first_token is not None:
            span.set_attribute("qwenbelt.time_to_first_token", event.first_token - began)
        self._written = (span, event.finished)
        self._measure("chat", event.finished - began)

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
        self._end_chat()

    def _tool(self, event: ToolFinished) -> None:
        began = event.started if event.started is not None else event.finished
        extra: dict[str, Any] = {
            "gen_ai.tool.name": event.name,
            "gen_ai.tool.call.id": event.call_id,
            "gen_ai.tool.type": "datastore" if event.name in _DATASTORES else "function",
            "qwenbelt.tool.queue_seconds": began - event.sealed,
        }
        if self._telemetry.content:
            extra["gen_ai.tool.call.arguments"] = scrub(self._arguments.pop(event.call_id, ""))
            extra["gen_ai.tool.call.result"] = scrub(event.result)
        span = self._span(f"execute_tool {event.name}", "execute_tool", began, **extra)
        error = "" if event.ok else "cancelled" if event.cancelled else "tool_error"
        self._failed(span, error)
        span.end(self._ns(event.finished))
        self._telemetry.queue.record(began - event.sealed, {"gen_ai.tool.name": event.name})
        self._measure("execute_tool", event.finished - began, error, event.name)

    def _end(self, event: Done, run: Span) -> None:
        for span, _ in self._chats.values():  # replies that broke off
            self._failed(span, event.reason)
            span.end()
        run.set_attribute("gen_ai.usage.input_tokens", self._tokens[0])
        run.set_attribute("gen_ai.usage.output_tokens", self._tokens[1])
        run.set_attribute("qwenbelt.end_reason", event.reason)
        if self._telemetry.content:
            run.set_attribute("gen_ai.output.messages", _json(event.messages))
        error = "" if event.reason == "answer" else event.reason
        self._failed(run, error)
        run.end()
        self._measure("invoke_agent", time.monotonic() - self._began, error)
        self._run = None

    def _failed(self, span: Span, error: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        if error:
            span.set_attribute("error.type", error)
            span.set_status(Status(StatusCode.ERROR, error))

    def _measure(self, operation: str, seconds: float, error: str = "", tool: str = "") -> None:
        values = {**self._common, "gen_ai.operation.name": operation}
        if error:
            values["error.type"] = error
        if tool:
            values["gen_ai.tool.name"] = tool
        self._telemetry.duration.record(seconds, values)


def _json(value: Any) -> str:
    return scrub(json.dumps(value, ensure_ascii=False, default=str))
