"""Spans in which tools report their own work; free of cost while telemetry is off.

`qwenbelt.agents.telemetry` hands in the tracer, so nothing here needs OpenTelemetry.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

RETRIEVAL = {"gen_ai.operation.name": "retrieval"}  # OpenTelemetry's name
_tracer: Any = None


def tell_spans(tracer: Any) -> None:
    """Reports spans to an OpenTelemetry tracer from now on, or to none when it is None."""
    global _tracer
    _tracer = tracer


@contextlib.contextmanager
def tool_span(name: str, attributes: Mapping[str, str | int]) -> Iterator[None]:
    """Records what is done inside as a span of the call or run that it happens in."""
    if _tracer is None:
        yield
        return
    with _tracer.start_as_current_span(name, attributes=dict(attributes)):
        yield
