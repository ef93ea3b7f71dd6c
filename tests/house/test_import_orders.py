"""The package can be imported in any order, before or after qwen-agent."""

from __future__ import annotations

import subprocess
import sys

import pytest

CHECK = """
from qwen_agent.llm.base import LLM_REGISTRY
from qwen_agent.tools.base import TOOL_REGISTRY
assert "qwenbelt" in LLM_REGISTRY
assert type(TOOL_REGISTRY["code_interpreter"]).__module__ == "qwenbelt.tools.registry"
"""


@pytest.mark.parametrize(
    "first",
    [
        "import qwen_agent, qwenbelt.tools, qwenbelt.agents",
        "import qwenbelt.tools, qwenbelt.agents, qwen_agent",
        "import qwenbelt.agents\nfrom qwenbelt.agents import Budget, FnCallAgent\n"
        "import qwenbelt.tools",
        "import qwenbelt.agents\nfrom qwenbelt.tools import Tool",
        "import qwenbelt.agents.runtime.budget\nimport qwenbelt.tools",
    ],
)
def test_any_order_of_imports_registers_everything(first: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{first}\n{CHECK}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
