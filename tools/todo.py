"""The tool `todo_list`: the plan of a long task, which the model keeps up to date."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from qwenbelt.core.errors import one_line
from qwenbelt.tools.base import Structured, Tool

# models know these words from other harnesses' lists
_OTHER_WORDS = {"pending": "open", "todo": "open", "in_progress": "doing", "completed": "done"}
_MARKS = {"open": "[ ]", "doing": "[~]", "done": "[x]"}


class TodoItem(BaseModel):
    """One step of the plan."""

    text: str = Field(description="The step, in a few words.", min_length=1)
    status: Literal["open", "doing", "done"] = "open"

    @field_validator("status", mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        return _OTHER_WORDS.get(value, value) if isinstance(value, str) else value


class TodoArguments(BaseModel):
    """The arguments of `todo_list`."""

    items: list[TodoItem] = Field(
        description="The whole plan as it is now; it takes the place of the one before.",
        max_length=100,
    )


class TodoList(Tool):
    """Keeps the plan; its result is the plan as a list with boxes, which every face shows."""

    name = "todo_list"
    description = (
        "Writes down the plan of a task with several steps, and what of it is done. Call it when "
        "you begin, and again whenever a step is done; give the whole plan each time."
    )
    Arguments = TodoArguments
    read_only = True
    trusted_results = True

    def call(self, params: Any, **kwargs: Any) -> str:
        """Returns the plan."""
        arguments: TodoArguments = self.parse(params)
        lines = [f"- {_MARKS[item.status]} {one_line(item.text, 200)}" for item in arguments.items]
        plain = [item.model_dump() for item in arguments.items]
        return Structured("\n".join(lines), plain)
