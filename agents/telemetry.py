"""OpenTelemetry spans and metrics of runs, by the semantic conventions for generative AI.

    pip install "qwenbelt[otel]"
    QWENBELT_OTEL=1 OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 qwenbelt run "…"

or `telemetry.enable()` in Python, with the providers that the program has set up. Texts, arguments
and results are left out unless `content=True`, or
`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says so, and then keys are masked.

Names are those of https://opentelemetry.io/docs/specs/semconv/gen-ai/ as OpenTelemetry's own
Python package for them (`opentelemetry-util-genai` 1.3) uses them; what it has no name for begins
with `qwenbelt.`. Instrumentation made for qwen-agent's and openai's classes wraps methods that our
agents replace or do not call, so nothing is told twice.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from qwenbelt.agents.spans import RunSpans, Telemetry, lone_chat
from qwenbelt.core.errors import ConfigError
from qwenbelt.core.extras import fix_of, require
from qwenbelt.core.spans import tell_spans

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_YES = ("1", "true", "yes", "on", "span_only", "span_and_event")
_lock = threading.Lock()
_telemetry: Telemetry | None = None
_asked = False


def _says_yes(name: str) -> bool:
    return os.environ.get(name, "").lower() in _YES


def observer() -> RunSpans | None:
    """Returns what a new run tells its events to, or None while telemetry is off."""
    telemetry = _current()
    return None if telemetry is None else RunSpans(telemetry)


def replying(model: str, url: str) -> AbstractContextManager[None]:
    """Tells of a reply that our chat model gives to an agent that is not ours."""
    telemetry = _current()
    return nullcontext() if telemetry is None else lone_chat(telemetry, model, url)


def _current() -> Telemetry | None:
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
    """Tells every run of this process from now on.

    Args:
        tracers: where spans go; by default the provider that the program has set.
        meters: where metrics go; by default the provider that the program has set.
        content: also tell texts, arguments and results.

    Raises:
        ConfigError: OpenTelemetry is not installed.
    """
    global _telemetry
    if _exporting:
        require("otel")
        _export()
    elif importlib.util.find_spec("opentelemetry") is None:
        raise ConfigError("OpenTelemetry is not installed.", fix=fix_of("otel"))
    _telemetry = Telemetry(tracers, meters, _says_yes(CONTENT) if content is None else content)
    tell_spans(_telemetry.tracer)


def disable() -> None:
    """Tells nothing any more."""
    global _telemetry
    _telemetry = None
    tell_spans(None)


def _export() -> None:
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
