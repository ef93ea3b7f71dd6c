"""The OpenTelemetry spans of a run, printed as a tree; your own exporter goes in the same place."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from qwenbelt.agents import FnCallAgent, endpoint, telemetry


def weather(city: str) -> str:
    """Tells the weather.

    Args:
        city: where.
    """
    return f"Sunny in {city}."


def show(spans: list[ReadableSpan], parent: int | None = None, depth: int = 0) -> None:
    for span in spans:
        if (span.parent.span_id if span.parent else None) == parent:
            seconds = (span.end_time - span.start_time) / 1e9
            print(f"{'  ' * depth}{span.name} ({seconds:.3f} s)")
            show(spans, span.context.span_id, depth + 1)


if __name__ == "__main__":
    kept = InMemorySpanExporter()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(kept))
    telemetry.enable(tracers)
    agent = FnCallAgent([weather], llm=endpoint(otherwise=__file__), name="forecaster")
    agent.run_nonstream([{"role": "user", "content": "The weather in Lindau and Rome?"}])
    show(sorted(kept.get_finished_spans(), key=lambda span: span.start_time))
