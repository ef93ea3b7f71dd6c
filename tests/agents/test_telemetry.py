"""Spans of real runs, by the real SDK, and over OTLP to a receiver on loopback."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.agents import FnCallAgent, telemetry
from qwenbelt.testing import Scenario, ScriptedServer

pytest.importorskip("opentelemetry.sdk", reason='needs pip install "qwenbelt[otel]"')
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

KEY = "sk-abcdefghijklmnopqrstuvwx"


def nap(number: int) -> str:
    """Sleeps.

    Args:
        number: any.
    """
    time.sleep(0.2)
    if number > 2:
        raise ValueError("too many")
    return f"slept {number}"


def ask(numbers: list[int]) -> None:
    script = Scenario().turn(calls=[("nap", {"number": n}) for n in numbers]).answer("Rested.")

    async def go() -> None:
        with ScriptedServer(script) as server:
            agent = FnCallAgent([nap], llm=server.llm, name="sleeper")
            question = {"role": "user", "content": f"Sleep. My key is {KEY}."}
            async for _ in agent.stream([question]):
                pass

    asyncio.run(go())


@pytest.fixture
def seen() -> Iterator[tuple[InMemorySpanExporter, InMemoryMetricReader, Any]]:
    spans, metrics = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    meters = MeterProvider(metric_readers=[metrics])

    def enable(**options: Any) -> TracerProvider:
        telemetry.enable(tracers, meters, **options)
        return tracers

    yield spans, metrics, enable
    telemetry.disable()
    tracers.shutdown()
    meters.shutdown()


def test_a_run_is_a_tree_of_spans_at_the_times_of_its_events(seen: Any) -> None:
    spans, metrics, enable = seen
    tracers = enable()
    with tracers.get_tracer("test").start_as_current_span("request") as outside:
        ask([1, 2, 3])
    found = {span.name: span for span in spans.get_finished_spans()}
    tools = [s for s in spans.get_finished_spans() if s.name == "execute_tool nap"]
    run = found["invoke_agent sleeper"]
    assert run.parent.span_id == outside.get_span_context().span_id
    assert {s.parent.span_id for s in (*tools, found["chat scripted"])} == {run.context.span_id}
    assert run.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert run.attributes["gen_ai.usage.input_tokens"] > 0
    assert found["chat scripted"].kind == trace.SpanKind.CLIENT
    assert found["chat scripted"].attributes["gen_ai.usage.output_tokens"] > 0
    assert max(s.start_time for s in tools) < min(s.end_time for s in tools), "side by side"
    assert all(0.15e9 < s.end_time - s.start_time < 20e9 for s in tools)
    assert run.start_time <= min(s.start_time for s in tools)
    assert max(s.end_time for s in tools) <= run.end_time
    errors = sorted(str(s.attributes.get("error.type", "")) for s in tools)
    assert errors == ["", "", "tool_error"]
    text = "".join(span.to_json() for span in spans.get_finished_spans())
    assert KEY not in text
    assert "slept 1" not in text, "content is off unless asked for"
    points = {
        metric.name: list(metric.data.data_points)
        for resource in metrics.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert points.keys() == {
        "gen_ai.client.operation.duration",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.client.token.usage",
        "gen_ai.execute_tool.duration",
        "gen_ai.invoke_agent.duration",
        "qwenbelt.tool.queue.duration",
    }
    counts = {
        point.attributes.get("error.type", ""): point.count
        for point in points["gen_ai.execute_tool.duration"]
    }
    assert counts == {"": 2, "tool_error": 1}
    assert sum(point.count for point in points["qwenbelt.tool.queue.duration"]) == 3


def test_content_is_told_when_asked_for_and_keys_are_masked(seen: Any) -> None:
    spans, _, enable = seen
    enable(content=True)
    ask([1])
    text = "".join(span.to_json() for span in spans.get_finished_spans())
    assert "slept 1" in text
    assert "Rested." in text
    assert KEY not in text


def test_nothing_is_told_while_it_is_off(seen: Any) -> None:
    spans, _, _ = seen
    ask([1])
    assert spans.get_finished_spans() == ()


def test_the_command_line_sends_to_a_collector(tmp_path: Path, collector: Any) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    (tmp_path / "s.yaml").write_text("turns:\n  - answer: Fine.\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "from qwenbelt.apps.cli import main; main()", "run", "How?"],
        cwd=tmp_path,
        env={
            **os.environ,
            "QWENBELT_OTEL": "1",
            "QWENBELT_ENDPOINT": "scripted:s.yaml",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert collector.tree() == [
        "invoke_agent FnCallAgent [qwenbelt]",
        "  chat scripted [qwenbelt]",
    ]
    assert "/v1/metrics" in collector.bodies
