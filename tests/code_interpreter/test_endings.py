"""How a call ended, and that nothing it showed is lost: an exception is not a success."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qwenbelt import CodeInterpreter, FnCallAgent, TraceWriter
from qwenbelt.apps.lanes import draw_lanes
from qwenbelt.apps.timeline import Timeline
from qwenbelt.core.events import ToolFinished, ToolProgress
from qwenbelt.core.trace import read_trace
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.testing.checks.trajectory import Trajectory
from qwenbelt.tools.base import Ended

Runner = Any


def run_of(
    codes: list[str], folder: Path, until: Callable[[Any], bool] | None = None
) -> tuple[dict[str, ToolFinished], list[dict[str, Any]], Timeline]:
    """Runs an agent whose model calls the interpreter; gives the ends, messages and timeline."""
    calls = [("code_interpreter", {"code": code}) for code in codes]
    with ScriptedServer(Scenario().turn(calls=calls).answer("done")) as server:
        interpreter = CodeInterpreter({"allow_unsandboxed": True})
        agent = FnCallAgent([interpreter], llm=server.llm, folder=folder)
        found: list[Any] = []

        async def main() -> list[dict[str, Any]]:
            with TraceWriter(folder.with_suffix(".jsonl")) as writer:
                run = agent.stream([{"role": "user", "content": "go"}], trace=writer)
                async for event in run:
                    found.append(event)
                    if until is not None and until(event):
                        run.cancel()
            return run.messages

        try:
            messages = asyncio.run(main())
        finally:
            interpreter.close()
    ends = {e.call_id: e for e in found if isinstance(e, ToolFinished)}
    return ends, messages, Timeline(read_trace(folder.with_suffix(".jsonl")))


def test_an_exception_is_a_state_of_its_own_everywhere(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    codes = ["print('first')\n{}['b']", "print(1)"]
    ends, messages, timeline = run_of(codes, folder)
    raised, well = ends.values()
    assert (raised.ok, raised.status, raised.error) == (False, "raised", "KeyError")
    assert (well.ok, well.status, well.error) == (True, "ok", "")
    assert "first" in raised.result
    assert "KeyError: 'b'" in raised.result
    told = [m["extra"] for m in messages if m["role"] == "function"]
    assert [(e["ok"], e["status"]) for e in told] == [(False, "raised"), (True, "ok")]
    assert [call.state for call in timeline.calls] == ["raised", "done"]
    assert "raised KeyError" in "\n".join(line.plain for line in draw_lanes(timeline, 100))
    run = Trajectory.from_trace(folder.with_suffix(".jsonl"))
    assert [call.ending for call in run.calls] == ["raised KeyError", "ok"]


def test_what_was_printed_before_a_stop_is_kept(tmp_path: Path) -> None:
    def printed(event: Any) -> bool:
        return isinstance(event, ToolProgress) and event.output and "step 2" in event.text

    code = "import time\nprint('step 1', flush=True)\nprint('step 2', flush=True)\ntime.sleep(60)"
    ends, messages, timeline = run_of([code], tmp_path / "work", until=printed)
    (end,) = ends.values()
    assert (end.ok, end.cancelled, end.status) == (False, True, "cancelled")
    assert "step 1" in end.result
    assert "step 2" in end.result
    assert "step 2" in messages[-1]["content"]
    assert timeline.calls[0].state == "cancelled"
    assert "step 1" in timeline.calls[0].output, "what streams is more than the last line"


def test_the_interpreter_alone_tells_how_it_ended(shared: Runner) -> None:
    def ended(code: str, **arguments: Any) -> tuple[str, str, str]:
        params = {"code": code, **arguments}
        result = shared.tool.call(params, context=shared.context)
        assert isinstance(result, Ended)
        return result.status, result.error, str(result[0].text)

    assert ended("1/0")[:2] == ("raised", "ZeroDivisionError")
    assert ended("x = (")[:2] == ("raised", "SyntaxError")
    assert ended("print('ok')")[:2] == ("ok", "")
    status, _, text = ended("import time\nprint('so far')\ntime.sleep(60)", timeout=1)
    assert status == "timeout"
    assert "so far" in text
    status, _, text = ended("import os\nprint('last words', flush=True)\nos._exit(3)")
    assert status == "failed"
    assert "exit code 3" in text


def test_files_of_a_call_are_those_that_it_made(shared: Runner) -> None:
    from qwenbelt.tools.code_interpreter import isolation_level

    if not isolation_level().startswith("namespaces"):
        pytest.skip("only a sandbox with a folder of its own tells who wrote a file")
    other = shared.context.folder / "index.sqlite"
    shared.reports.clear()
    timer = threading.Timer(0.3, lambda: other.write_bytes(b"x" * 100))
    timer.start()
    found = shared.items("import time; open('own.txt', 'w').write('1'); time.sleep(0.8)")
    timer.join()
    assert other.exists()
    assert [Path(i.value).name for i in found if i.kind == "file"] == ["own.txt"]
