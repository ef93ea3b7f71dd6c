"""`PlanAgent`: plans a graph of calls in one reply and runs it at its critical path."""

from __future__ import annotations

from qwenbelt.agents.fncall import FnCallAgent


class PlanAgent(FnCallAgent):
    """A function-calling agent that writes all calls of a task at once, dependent ones included.

    A call refers to an earlier one of the same reply by `{"$result": N, "path": "..."}` (see
    `references`); the scheduler starts it when its inputs are there. A chain of n calls so takes
    two replies of the model instead of n + 1, and calls that need nothing of each other run side
    by side. After the results the model may plan again. The idea is that of LLMCompiler (Kim et
    al. 2024, arXiv 2312.04511), here over the tool calls of any endpoint and without a planner of
    its own.
    """

    dependent_calls = True
