"""Our spans beside those of OpenTelemetry's own instrumentation and of the MCP package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qwen_agent import agents as stock

from qwenbelt import agents as ours
from qwenbelt.agents import telemetry
from qwenbelt.testing import Scenario, ScriptedServer

_GENAI = "opentelemetry.instrumentation.genai"
sdk = pytest.importorskip("opentelemetry.sdk.trace", reason='needs pip install "qwenbelt[otel]"')
_WANTED = "needs pip install opentelemetry-instrumentation-genai-qwen-agent (and -openai)"
official = pytest.importorskip(f"{_GENAI}.qwen_agent", reason=_WANTED)
official_openai = pytest.importorskip(f"{_GENAI}.openai", reason=_WANTED)

NOT_IN_OUR_EVENTS = {
    *("gen_ai.agent.description", "gen_ai.tool.description", "gen_ai.output.type"),
    *("gen_ai.response.id", "gen_ai.response.model"),
}
QUESTION = [{"role": "user", "content": "How tall?"}]
PROGRAM = """
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.instrumentation.genai.qwen_agent import QwenAgentInstrumentor
QwenAgentInstrumentor().instrument()
OpenAIInstrumentor().instrument()
from qwenbelt.apps.cli import main
main()
"""


def measure(thing: str) -> str:
    """Measures a thing.

    Args:
        thing: what.
    """
    return f"{thing}: 112 m"


class Seen:
    """The spans and metrics of a process in which both are switched on."""

    def __init__(self) -> None:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = sdk.TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meters = MeterProvider(metric_readers=[self.reader])

    def spans(self) -> list[Any]:
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time)

    def lines(self) -> list[str]:
        """Each span with its parent's name."""
        names = {span.context.span_id: span.name for span in self.spans()}
        parents = [names.get(s.parent.span_id) if s.parent else None for s in self.spans()]
        return [f"{s.name} < {parent}" for s, parent in zip(self.spans(), parents, strict=True)]

    def metrics(self) -> dict[str, set[str]]:
        """The attributes of each metric by its name and the package that told it."""
        found: dict[str, set[str]] = {}
        for resource in self.reader.get_metrics_data().resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    keys = found.setdefault(f"{scope.scope.name} {metric.name}", set())
                    keys.update(*(point.attributes for point in metric.data.data_points))
        return found


@pytest.fixture
def seen() -> Iterator[Seen]:
    both = Seen()
    telemetry.enable(both.tracers, both.meters)
    makers = (official.QwenAgentInstrumentor(), official_openai.OpenAIInstrumentor())
    for maker in makers:
        maker.instrument(tracer_provider=both.tracers, meter_provider=both.meters)
    yield both
    for maker in makers:
        maker.uninstrument()
    telemetry.disable()
    both.tracers.shutdown()
    both.meters.shutdown()


def script() -> Scenario:
    calls = [("measure", {"thing": f"tower {n}"}) for n in range(2)]
    return Scenario().turn(calls=calls).answer("112 m.")


def test_no_span_is_told_twice(seen: Seen) -> None:
    with ScriptedServer(script()) as server:
        agent = ours.FnCallAgent([measure], llm=server.llm, name="measurer")
        agent.run_nonstream(QUESTION)
    assert seen.lines() == [
        "invoke_agent measurer < None",
        "chat scripted < invoke_agent measurer",
        "execute_tool measure < invoke_agent measurer",
        "execute_tool measure < invoke_agent measurer",
        "chat scripted < invoke_agent measurer",
    ]
    assert {span.instrumentation_scope.name for span in seen.spans()} == {"qwenbelt"}


def test_our_runs_lie_below_the_stock_agent_that_they_belong_to(seen: Seen) -> None:
    chooser = Scenario().answer("Call: measurer\nReply: 112 m.")
    with ScriptedServer(script()) as server, ScriptedServer(chooser) as other:
        member = ours.FnCallAgent([measure], llm=server.llm, name="measurer", description="m")
        talker = ours.FnCallAgent([], llm=server.llm, name="talker", description="t")
        llm = {**other.llm, "model_type": "qwenbelt"}
        stock.Router(llm=llm, agents=[member, talker]).run_nonstream(QUESTION)
    lines = seen.lines()
    assert lines[0] == "invoke_agent Router < None"
    assert "chat scripted < invoke_agent Router" in lines, "the router's own question"
    assert "invoke_agent measurer < invoke_agent Router" in lines
    assert lines.count("execute_tool measure < invoke_agent measurer") == 2


def test_names_are_those_of_the_official_package(seen: Seen) -> None:
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

    with ScriptedServer(script()) as server, ScriptedServer(script()) as other:
        ours.FnCallAgent([measure], llm=server.llm, name="a").run_nonstream(QUESTION)
        llm = {**other.llm, "model_type": "oai"}
        tool = ours.FnCallAgent([measure], llm=llm).function_map["measure"]
        stock.FnCallAgent([tool], llm=llm, name="b").run_nonstream(QUESTION)
    by_scope: dict[bool, dict[str, set[str]]] = {True: {}, False: {}}
    for span in seen.spans():
        kind = str(span.attributes["gen_ai.operation.name"])
        own = span.instrumentation_scope.name == "qwenbelt"
        by_scope[own].setdefault(kind, set()).update(span.attributes)
    assert by_scope[True].keys() == {"invoke_agent", "chat", "execute_tool"}
    for kind, keys in by_scope[False].items():
        told = {k for k in keys if k.startswith("gen_ai.") and ".request." not in k}
        assert told - by_scope[True][kind] <= NOT_IN_OUR_EVENTS, kind
    known = {v for v in vars(gen_ai_attributes).values() if isinstance(v, str)}
    used = {k for keys in by_scope[True].values() for k in keys if k.startswith("gen_ai.")}
    assert used <= known
    metrics = seen.metrics()
    official = {line.split()[1] for line in metrics if not line.startswith("qwenbelt ")}
    assert official >= {"gen_ai.invoke_agent.duration", "gen_ai.execute_tool.duration"}
    assert official <= {line.split()[1] for line in metrics if line.startswith("qwenbelt ")} | {
        "gen_ai.client.operation.time_per_output_chunk"
    }


def test_retrieval_lies_below_the_run_and_the_call(seen: Seen, tmp_path: Path) -> None:
    file = tmp_path / "tower.txt"
    file.write_text("The tower of Lindau is 112 m tall.\n", encoding="utf-8")
    search = Scenario().turn(calls=[("document_search", {"query": "tower", "top_k": 3})])
    with ScriptedServer(search.answer("112 m.")) as server:
        agent = ours.Assistant(
            ["document_search"], llm=server.llm, name="reader", files=[str(file)]
        )
        agent.run_nonstream([{"role": "user", "content": "How tall is the tower?"}])
    lines = seen.lines()
    assert lines.count("retrieval < invoke_agent reader") == 1
    assert lines.count("retrieval < execute_tool document_search") == 1
    inner = [s for s in seen.spans() if s.name == "retrieval"][-1]
    assert inner.attributes == {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.retrieval.top_k": 3,
    }


@pytest.mark.slow
def test_the_demo_in_a_collector(tmp_path: Path, collector: Any) -> None:
    run_program(["demo", "--out", str(tmp_path / "out")], tmp_path, collector.url)
    tree = collector.tree()
    print("\n" + "\n".join(tree))
    assert [line for line in tree if not line.startswith(" ")] == [tree[0]], "one trace"
    assert tree[0].startswith("invoke_agent ")
    assert all("[qwenbelt]" in line for line in tree), "nothing is told twice"
    for name in ("chat demo", "execute_tool document_search", "execute_tool plot"):
        assert any(line.startswith(f"  {name} ") for line in tree), name
    assert "    retrieval [qwenbelt]" in tree


def test_mcp_requests_lie_below_their_call(tmp_path: Path, collector: Any) -> None:
    scenario = "say: x\nturns: [{calls: [{db-list_tables: {}}]}, {answer: None yet.}]\n"
    (tmp_path / "s.yaml").write_text(scenario, encoding="utf-8")
    server = ["-m", "qwenbelt.mcp_servers.sqlite", "--db-path", str(tmp_path / "x.db"), "--write"]
    config = {"mcpServers": {"db": {"command": sys.executable, "args": server}}}
    (tmp_path / "mcp.json").write_text(json.dumps(config), encoding="utf-8")
    words = ["run", "x", "-e", "scripted:s.yaml", "-t", "none", "--mcp", "mcp.json"]
    run_program([*words, "--approve", "auto"], tmp_path, collector.url)
    tree = collector.tree()
    at = tree.index("  execute_tool db-list_tables [qwenbelt]")
    assert tree[at + 1] == "    MCP send tools/call list_tables [mcp-python-sdk]"


def run_program(words: list[str], folder: Path, url: str) -> None:
    """Runs the command line with all instrumentation on."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=folder,
        env={
            **os.environ,
            "QWENBELT_OTEL": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "QWENBELT_WORKSPACE": str(folder / "workspace"),
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
