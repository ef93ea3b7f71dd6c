"""The tasks of a batch: one JSON object a line.

{"id": "a", "ask": "What is in these files?", "files": ["x.pdf"]}     a run of an agent
{"report": "Summarise the results.", "files": ["x.pdf"]}               a report
{"inspect": "site.jpg"}                                               an inspection of a picture
{"label": "site.jpg"}                                                 labels for a picture
{"ask": "Who signed it?", "files": ["x.pdf"], "answer": "person.json"}   a typed answer

`id` may be left out. `endpoint`, `tools`, `agent`, `system`, `language` and `answer` overrule the
options of the batch for one task. Files are looked for beside the tasks' file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from qwenbelt.agents.agent_files import agent_file, read_agent
from qwenbelt.agents.answers.typed import AnswerForm, answer_schema
from qwenbelt.agents.kinds import AGENT_KINDS, SEARCHING_KINDS
from qwenbelt.core.errors import ConfigError, InputError, one_line
from qwenbelt.core.limits import input_file

KINDS = ("ask", "report", "inspect", "label")
MAX_TASKS = 1_000_000
NO_TOOLS = "none"


class TaskOptions(BaseModel):
    """How the tasks of a batch are run; each task may overrule them.

    Attributes:
        endpoint: the endpoint spec; None looks for one.
        tools: names of tools for `ask`; "none" alone for none, where an agent's file names some.
        agent: "fncall" or "react"; for `ask` also "assistant", and the name or path of an agent
            described by a file, which then fills in what is not given.
        mcp: MCP servers by name for `ask`; an agent's file names them.
        rules: YAML file of an inspection's rules.
        labels: YAML file of labels.
        thinking: switches the model's thoughts on or off; None leaves it to the model.
        tool_format: how calls are written; None for what suits the endpoint.
        temperature: of the model; None for its own.
        max_tokens: of a reply; None for no limit.
        answer: the JSON schema that answers of `ask` must fit, or the path of its file.
    """

    model_config = ConfigDict(extra="forbid")

    endpoint: str | None = None
    tools: list[str] = Field(default_factory=list)
    agent: str = "fncall"
    mcp: dict[str, dict[str, Any]] | None = None
    system: str | None = None
    language: Literal["en", "zh"] | None = None
    rules: str | None = None
    labels: str | None = None
    thinking: bool | None = None
    tool_format: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    answer: dict[str, Any] | str | None = None


Options = TaskOptions  # its name in 0.1


class TaskLine(TaskOptions):
    """One line of a tasks' file."""

    id: str | int | None = None
    ask: str | None = None
    report: str | None = None
    inspect: str | None = None
    label: str | None = None
    files: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_kind(self) -> TaskLine:
        if sum(bool(getattr(self, kind)) for kind in KINDS) != 1:
            raise ValueError(f"needs exactly one of {', '.join(KINDS)}")
        return self

    @property
    def kind(self) -> str:
        """What kind of job it is."""
        return next(kind for kind in KINDS if getattr(self, kind))


@dataclass(frozen=True)
class Task:
    """A task as it is kept in the database.

    Attributes:
        id: names it among the results.
        kind: "ask", "report", "inspect" or "label".
        subject: the question, or the picture's path or address.
        options: the batch's options with the task's own on top.
        key: changes whenever anything about the task does.
    """

    id: str
    kind: str
    subject: str
    files: tuple[str, ...]
    options: TaskOptions
    key: str

    def to_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        return {
            "id": self.id,
            "kind": self.kind,
            "subject": self.subject,
            "files": list(self.files),
            "options": self.options.model_dump(exclude_none=True),
        }


def task_of(table: Mapping[str, Any]) -> Task:
    """Returns a task from its JSON form."""
    text = json.dumps(table, ensure_ascii=False, sort_keys=True)
    return Task(
        table["id"],
        table["kind"],
        table["subject"],
        tuple(table["files"]),
        TaskOptions.model_validate(table["options"]),
        hashlib.sha256(text.encode()).hexdigest()[:12],
    )


def read_tasks(path: str | Path, options: TaskOptions | None = None) -> list[Task]:
    """Returns the tasks of a JSONL file; files in it become absolute paths.

    Raises:
        InputError: a line is not a task; the message names the line and the reason.
    """
    file = input_file(path)
    found: list[Task] = []
    taken: set[str] = set()
    for number, line in _task_lines(file):
        task = _task_of_line(
            line, file.resolve().parent, options or TaskOptions(), f"{path}:{number}", taken
        )
        if task.id in taken:
            raise InputError(f"{path}:{number}: the id {task.id!r} is there twice.")
        taken.add(task.id)
        found.append(task)
    if not found:
        raise InputError(f"{path}: holds no tasks.")
    return found


def _task_lines(file: Path) -> Iterator[tuple[int, str]]:
    try:
        with file.open(encoding="utf-8-sig") as text:
            for number, line in enumerate(text, 1):
                if number > MAX_TASKS:
                    raise InputError(f"{file}: more than {MAX_TASKS} lines.")
                if line.strip():
                    yield number, line
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: is not UTF-8 text.") from error


def _task_of_line(line: str, base: Path, options: TaskOptions, place: str, taken: set[str]) -> Task:
    try:
        given = TaskLine.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        reason = f"{where}: {first['msg']}" if where else first["msg"]
        raise InputError(f"{place}: {one_line(reason, 200)}.") from error
    own = given.model_dump(include=set(TaskOptions.model_fields), exclude_unset=True)
    merged, belonging = with_agent(TaskOptions.model_validate({**options.model_dump(), **own}))
    if NO_TOOLS in merged.tools:
        if len(merged.tools) > 1:
            raise InputError(f'{place}: tools: "{NO_TOOLS}" stands alone.')
        merged.tools = []
    if given.kind != "ask" and merged.agent not in SEARCHING_KINDS:
        raise InputError(f"{place}: agent: {given.kind} takes fncall or react.")
    for name in ("rules", "labels"):
        value = getattr(given, name)
        if value is not None:
            setattr(merged, name, _absolute(value, base))
    merged.answer = _answer(merged.answer, base, place) if given.kind == "ask" else None
    subject = str(getattr(given, given.kind))
    if given.kind in ("inspect", "label"):
        subject = _absolute(subject, base)
    table = {
        "id": str(given.id) if given.id is not None else "",
        "kind": given.kind,
        "subject": subject,
        "files": [*(_absolute(name, base) for name in given.files), *belonging],
        "options": merged.model_dump(exclude_none=True),
    }
    if given.id is None:
        table["id"] = _free_id(task_of(table).key, taken)
    return task_of(table)


def _answer(given: dict[str, Any] | str | None, base: Path, place: str) -> dict[str, Any] | None:
    """Returns the schema of a typed answer; a text is the path of its file."""
    if given is None:
        return None
    schema = answer_schema(_absolute(given, base)) if isinstance(given, str) else given
    try:
        AnswerForm(schema)
    except ConfigError as error:
        raise InputError(f"{place}: {one_line(error, 300)}") from error
    return schema


def with_agent(options: TaskOptions) -> tuple[TaskOptions, list[str]]:
    """Returns the options filled in from an agent's file, and the files that belong to it."""
    if options.agent in AGENT_KINDS:
        return options, []
    found = read_agent(agent_file(options.agent))
    filled = {
        "agent": found.agent,
        "endpoint": options.endpoint or found.endpoint,
        "tools": options.tools or found.tools,
        "mcp": options.mcp or found.mcp or None,
        "system": found.prompt if options.system is None else options.system,
        "thinking": found.thinking if options.thinking is None else options.thinking,
    }
    return options.model_copy(update=filled), found.files


def _free_id(key: str, taken: set[str]) -> str:
    """Returns an id for a task without one; equal lines are tasks of their own."""
    number = 1
    while (name := key if number == 1 else f"{key}-{number}") in taken:
        number += 1
    return name


def _absolute(name: str, base: Path) -> str:
    if name.startswith(("http://", "https://")):
        return name
    return str((base / Path(name).expanduser()).absolute())
