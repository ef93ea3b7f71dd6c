"""A regression test of an agent without a model: the replies are scripted, the tools are real.

pytest examples/regression_test.py
"""

from __future__ import annotations

from qwenbelt.agents import FnCallAgent
from qwenbelt.testing import Scenario, ScriptedServer, answer, called, overlapped, record


def test_the_agent_computes_and_plots_side_by_side() -> None:
    table = "year,tonnes\n2023,120\n2024,150\n"
    scenario = Scenario()
    scenario.turn(
        calls=[
            ("code_interpreter", {"code": "import time; time.sleep(0.3); 150 / 120 - 1"}),
            ("plot", {"kind": "bar", "title": "Output", "csv": table}),
        ]
    )
    scenario.answer("Output grew by a quarter (${code_interpreter}).")
    with ScriptedServer(scenario) as server:
        tools = [{"name": "code_interpreter", "allow_unsandboxed": True}, "plot"]
        agent = FnCallAgent(tools, llm=server.llm)
        run = record(agent, "How much did output grow?", server=server)
    run.check(called("plot", {"kind": "bar"}), overlapped("code_interpreter", "plot"))
    run.check(answer("Output grew by a quarter (0.25)."))
