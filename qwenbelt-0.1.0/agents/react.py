"""`ReActChat`: qwen-agent's, on our loop; several actions in a step run side by side."""

from __future__ import annotations

from qwen_agent.agents import ReActChat as StockReActChat

from qwenbelt.agents.fncall import FnCallAgent


class ReActChat(FnCallAgent, StockReActChat):  # type: ignore[misc]
    """An agent that reasons and acts in ReAct's text form.

    `run()` yields the whole transcript as one assistant message, as qwen-agent's class does.
    """

    tool_form = "react"
