"""Finds out whether a model writes code well enough to call tools from it: three small tasks.

Each is asked of an agent in code mode, whose code runs in the sandbox, and counts when the answer
is right and came of calls that code made. All three must be right: an agent in code mode has no
other way to its tools.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qwenbelt.agents.fncall import FnCallAgent
from qwenbelt.agents.models.capabilities import model_capabilities, save_record
from qwenbelt.agents.models.endpoint_model import EndpointModel
from qwenbelt.agents.runtime.budget import Budget
from qwenbelt.agents.runtime.code.code_mode import INTERPRETER
from qwenbelt.core.errors import QwenbeltError, one_line
from qwenbelt.core.events import ToolFinished
from qwenbelt.tools.code_interpreter import isolation_level
from qwenbelt.tools.function import FunctionTool

TASK_SECONDS = 90.0
_REPLIES = 4
_PRICES = {"pears": 7, "plums": 12, "limes": 4, "dates": 23}
_CUSTOMERS = {"Ada": 417, "Bo": 268}
_ORDERS = {417: [31, 8], 268: [5, 66, 4]}


def read_page(number: int) -> dict[str, int]:
    """Reads a page of the catalogue: its number and its price."""
    return {"number": number, "price": 30 + (number * 7) % 12}


def price_of(item: str) -> int:
    """Returns the price of an item."""
    return _PRICES[item]


def customer_id(name: str) -> int:
    """Returns the number of a customer."""
    return _CUSTOMERS[name]


def order_sums(customer: int) -> list[int]:
    """Returns the sums of a customer's orders, by the customer's number."""
    return _ORDERS[customer]


@dataclass(frozen=True)
class CodeTask:
    """A task for code: a question, its functions and what a right answer holds."""

    question: str
    functions: tuple[Callable[..., Any], ...]
    answer: str


TASKS = (
    CodeTask("Which of the pages 1 to 11 has the highest price? Read them all.", (read_page,), "5"),
    CodeTask("What do pears, plums, limes and dates cost together?", (price_of,), "46"),
    CodeTask("What is the sum of all of Bo's orders?", (customer_id, order_sums), "75"),
)


def probe_code(llm: Mapping[str, Any]) -> str:
    """Sets `writes_code` in the record of a model; returns why it could not be told, or "".

    Args:
        llm: the llm dict, whose record tells already how it calls tools.
    """
    if isolation_level() == "none":
        return "code: there is no sandbox here to run it in"
    model = EndpointModel(llm)
    try:
        writes = all(solves(llm, task) for task in TASKS)
    except QwenbeltError as error:
        return f"code: {one_line(error, 160)}"
    model_capabilities(model.url, model.name).writes_code = writes
    save_record(model.url, model.name)
    return ""


def solves(llm: Mapping[str, Any], task: CodeTask) -> bool:
    """Returns whether a model answers a task rightly by code that calls its functions."""
    generate = {**(llm.get("generate_cfg") or {}), "temperature": 0}
    with tempfile.TemporaryDirectory() as folder:
        agent = FnCallAgent(
            [FunctionTool(function, read_only=True) for function in task.functions],
            llm={**llm, "generate_cfg": generate},
            folder=folder,
            code_mode=True,
            budget=Budget(model_calls=_REPLIES, seconds=TASK_SECONDS),
        )
        try:
            result = agent.ask(task.question)
        finally:
            agent.function_map[INTERPRETER].close()
    called = any(isinstance(e, ToolFinished) and e.parent and e.ok for e in result.trace)
    return called and re.search(rf"\b{task.answer}\b", result.text) is not None
