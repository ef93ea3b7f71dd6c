"""Research: a plan, searchers side by side, and a report with checked citations.

from qwenbelt.workflows.research import research

research("How did margins change?", ["a.pdf", "b.pdf"], "out", endpoint="dashscope:qwen-plus")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenbelt.core.lazy import lazy

if TYPE_CHECKING:
    from qwenbelt.workflows.research.job import research

__all__ = ["research"]

__getattr__, __dir__ = lazy(__name__, {"qwenbelt.workflows.research.job": ("research",)})
