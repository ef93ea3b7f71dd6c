"""A tool belt for Qwen agents, on the real qwen-agent package.

    from qwenbelt import FnCallAgent

    agent = FnCallAgent(["document_search", "code_interpreter", "plot"], llm="ollama:qwen3:8b")

What is public: the names exported here and by each package's `__init__`, as its `__all__` lists
them; everything else may change without notice. Names are imported when they are first used.
"""

from __future__ import annotations

from qwenbelt.core.lazy import lazy, put_off

TYPE_CHECKING = False  # typing's own costs milliseconds to import
if TYPE_CHECKING:
    from qwenbelt.agents.agent_files import load_agent
    from qwenbelt.agents.answers.cited import Cited
    from qwenbelt.agents.answers.result import Citation, Result
    from qwenbelt.agents.assistant import Assistant
    from qwenbelt.agents.fncall import FnCallAgent
    from qwenbelt.agents.hooks import Hook, Refuse, TopicGuard
    from qwenbelt.agents.models.endpoints import endpoint
    from qwenbelt.agents.plan import PlanAgent
    from qwenbelt.agents.privacy import MaskPersonalData
    from qwenbelt.agents.quarantine import Quarantined
    from qwenbelt.agents.react import ReActChat
    from qwenbelt.agents.runtime.approvals.approval import ApprovalRequest
    from qwenbelt.agents.runtime.budget import Budget
    from qwenbelt.agents.runtime.resource_queue import Limits
    from qwenbelt.agents.runtime.run import Run
    from qwenbelt.agents.sessions.session import Session
    from qwenbelt.agents.subagents import delegate
    from qwenbelt.core.errors import (
        AnswerInvalid,
        ConfigError,
        EndpointError,
        InputError,
        LimitExceeded,
        ToolError,
        ToolRefused,
        ToolTimeout,
    )
    from qwenbelt.core.trace import TraceWriter
    from qwenbelt.tools.base import Tool, ToolContext
    from qwenbelt.tools.code_interpreter.tool import CodeInterpreter
    from qwenbelt.tools.documents.citations import verify_citation
    from qwenbelt.tools.documents.index import DocumentIndex
    from qwenbelt.tools.function import FunctionTool
    from qwenbelt.tools.mcp.tool import mcp_tools
    from qwenbelt.tools.plot.tool import Plot
    from qwenbelt.workflows.demo.bundled import demo_pdf
    from qwenbelt.workflows.report.checking import check_report
    from qwenbelt.workflows.report.job import report

    __version__: str

__all__ = [
    "AnswerInvalid",
    "ApprovalRequest",
    "Assistant",
    "Budget",
    "Citation",
    "Cited",
    "CodeInterpreter",
    "ConfigError",
    "DocumentIndex",
    "EndpointError",
    "FnCallAgent",
    "FunctionTool",
    "Hook",
    "InputError",
    "LimitExceeded",
    "Limits",
    "MaskPersonalData",
    "PlanAgent",
    "Plot",
    "Quarantined",
    "ReActChat",
    "Refuse",
    "Result",
    "Run",
    "Session",
    "Tool",
    "ToolContext",
    "ToolError",
    "ToolRefused",
    "ToolTimeout",
    "TopicGuard",
    "TraceWriter",
    "__version__",
    "check_report",
    "delegate",
    "demo_pdf",
    "endpoint",
    "load_agent",
    "mcp_tools",
    "report",
    "verify_citation",
]

put_off()
_lazy, __dir__ = lazy(
    __name__,
    {
        "qwenbelt.agents.agent_files": ("load_agent",),
        "qwenbelt.agents.answers.cited": ("Cited",),
        "qwenbelt.agents.answers.result": ("Citation", "Result"),
        "qwenbelt.agents.assistant": ("Assistant",),
        "qwenbelt.agents.fncall": ("FnCallAgent",),
        "qwenbelt.agents.hooks": ("Hook", "Refuse", "TopicGuard"),
        "qwenbelt.agents.models.endpoints": ("endpoint",),
        "qwenbelt.agents.plan": ("PlanAgent",),
        "qwenbelt.agents.privacy": ("MaskPersonalData",),
        "qwenbelt.agents.quarantine": ("Quarantined",),
        "qwenbelt.agents.react": ("ReActChat",),
        "qwenbelt.agents.runtime.approvals.approval": ("ApprovalRequest",),
        "qwenbelt.agents.runtime.budget": ("Budget",),
        "qwenbelt.agents.runtime.resource_queue": ("Limits",),
        "qwenbelt.agents.runtime.run": ("Run",),
        "qwenbelt.agents.sessions.session": ("Session",),
        "qwenbelt.agents.subagents": ("delegate",),
        "qwenbelt.core.errors": (
            "AnswerInvalid",
            "ConfigError",
            "EndpointError",
            "InputError",
            "LimitExceeded",
            "ToolError",
            "ToolRefused",
            "ToolTimeout",
        ),
        "qwenbelt.core.trace": ("TraceWriter",),
        "qwenbelt.tools.base": (
            "Tool",
            "ToolContext",
        ),
        "qwenbelt.tools.code_interpreter.tool": ("CodeInterpreter",),
        "qwenbelt.tools.documents.citations": ("verify_citation",),
        "qwenbelt.tools.documents.index": ("DocumentIndex",),
        "qwenbelt.tools.function": ("FunctionTool",),
        "qwenbelt.tools.mcp.tool": ("mcp_tools",),
        "qwenbelt.tools.plot.tool": ("Plot",),
        "qwenbelt.workflows.demo.bundled": ("demo_pdf",),
        "qwenbelt.workflows.report.checking": ("check_report",),
        "qwenbelt.workflows.report.job": ("report",),
    },
)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("qwenbelt")
    return _lazy(name)
