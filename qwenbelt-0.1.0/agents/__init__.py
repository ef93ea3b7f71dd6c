"""How an agent decides: endpoints, the loop, the scheduler, and drop-ins for qwen-agent's agents.

Importing this package registers the chat model `model_type: "qwenbelt"` as soon as qwen-agent's
own package is imported.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

import wrapt

if TYPE_CHECKING:
    from qwenbelt.agents.admission import Limits
    from qwenbelt.agents.approval import ApprovalRequest
    from qwenbelt.agents.assistant import Assistant
    from qwenbelt.agents.budget import Budget
    from qwenbelt.agents.chat_model import QwenbeltChat
    from qwenbelt.agents.endpoints import endpoint
    from qwenbelt.agents.fncall import FnCallAgent
    from qwenbelt.agents.plan import PlanAgent
    from qwenbelt.agents.react import ReActChat
    from qwenbelt.agents.run import Run

__all__ = [
    "ApprovalRequest",
    "Assistant",
    "Budget",
    "FnCallAgent",
    "Limits",
    "PlanAgent",
    "QwenbeltChat",
    "ReActChat",
    "Run",
    "endpoint",
]

_HOME = {
    "ApprovalRequest": "approval",
    "Assistant": "assistant",
    "Budget": "budget",
    "FnCallAgent": "fncall",
    "Limits": "admission",
    "PlanAgent": "plan",
    "QwenbeltChat": "chat_model",
    "ReActChat": "react",
    "Run": "run",
    "endpoint": "endpoints",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"qwenbelt.agents.{_HOME[name]}"), name)


def _register(module: ModuleType) -> None:
    importlib.import_module("qwenbelt.agents.chat_model")


wrapt.register_post_import_hook(_register, "qwen_agent")
