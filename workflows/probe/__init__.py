"""A contamination probe: has a model seen these problems before?

Two tests by Wu et al. 2025 ("Reasoning or Memorization? Unreliable Results of Reinforcement
Learning Due to Data Contamination", arXiv 2507.10532): given the first 40, 60 and 80 % of a
problem, can the model write the rest word by word, and can it answer a problem that it has not
been given whole? Fresh arithmetic problems, which no model can have seen, are the control.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenbelt.core.lazy import lazy

if TYPE_CHECKING:
    from qwenbelt.workflows.probe.job import JUDGED, Prober
    from qwenbelt.workflows.probe.problems import fresh_problems, read_problems

__all__ = [
    "JUDGED",
    "Prober",
    "fresh_problems",
    "read_problems",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "qwenbelt.workflows.probe.job": (
            "JUDGED",
            "Prober",
        ),
        "qwenbelt.workflows.probe.problems": (
            "fresh_problems",
            "read_problems",
        ),
    },
)
