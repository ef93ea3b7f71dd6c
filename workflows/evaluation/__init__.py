"""Evaluation: benchmarks and one's own sets of cases, run durably and graded by code.

from qwenbelt.workflows.evaluation import evaluate

found = evaluate("questions.jsonl", "out", endpoint="dashscope:qwen-plus", trials=3)
found.score; found.interval
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenbelt.core.lazy import lazy

if TYPE_CHECKING:
    from qwenbelt.workflows.evaluation.comparing import PairedComparison, compare_runs
    from qwenbelt.workflows.evaluation.job import EvalSetting, evaluate
    from qwenbelt.workflows.evaluation.outcome import EvalOutcome

__all__ = ["EvalOutcome", "EvalSetting", "PairedComparison", "compare_runs", "evaluate"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "qwenbelt.workflows.evaluation.comparing": ("PairedComparison", "compare_runs"),
        "qwenbelt.workflows.evaluation.job": ("EvalSetting", "evaluate"),
        "qwenbelt.workflows.evaluation.outcome": ("EvalOutcome",),
    },
)
