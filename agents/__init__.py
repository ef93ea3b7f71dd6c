"""How an agent decides: endpoints, the loop, the scheduler, and drop-ins for qwen-agent's agents.

Importing this package registers the chat model `model_type: "qwenbelt"` as soon as qwen-agent's
own package is imported.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

import wrapt

from qwenbelt.core.lazy import lazy

if TYPE_CHECKING:
    from qwenbelt.agents.agent_files import load_agent
    from qwenbelt.agents.assistant import Assistant
    from qwenbelt.agents.chat_model import QwenbeltChat
    from qwenbelt.agents.fncall import FnCallAgent
    from qwenbelt.agents.models.dashscope import DashScope
    from qwenbelt.agents.models.endpoints import endpoint
    from qwenbelt.agents.plan import PlanAgent
    from qwenbelt.agents.quarantine import Quarantined
    from qwenbelt.agents.react import ReActChat
    from qwenbelt.agents.runtime.approvals.approval import ApprovalRequest
    from qwenbelt.agents.runtime.budget import Budget
    from qwenbelt.agents.runtime.resource_queue import Limits
    from qwenbelt.agents.runtime.run import Run

__all__ = [
    "ApprovalRequest",
    "Assistant",
    "Budget",
    "DashScope",
    "FnCallAgent",
    "Limits",
    "PlanAgent",
    "Quarantined",
    "QwenbeltChat",
    "ReActChat",
    "Run",
    "endpoint",
    "load_agent",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "qwenbelt.agents.agent_files": ("load_agent",),
        "qwenbelt.agents.assistant": ("Assistant",),
        "qwenbelt.agents.chat_model": ("QwenbeltChat",),
        "qwenbelt.agents.fncall": ("FnCallAgent",),
        "qwenbelt.agents.models.dashscope": ("DashScope",),
        "qwenbelt.agents.models.endpoints": ("endpoint",),
        "qwenbelt.agents.plan": ("PlanAgent",),
        "qwenbelt.agents.quarantine": ("Quarantined",),
        "qwenbelt.agents.react": ("ReActChat",),
        "qwenbelt.agents.runtime.approvals.approval": ("ApprovalRequest",),
        "qwenbelt.agents.runtime.budget": ("Budget",),
        "qwenbelt.agents.runtime.resource_queue": ("Limits",),
        "qwenbelt.agents.runtime.run": ("Run",),
    },
)


def _register(module: ModuleType) -> None:
    importlib.import_module("qwenbelt.agents.chat_model")


wrapt.register_post_import_hook(_register, "qwen_agent")
