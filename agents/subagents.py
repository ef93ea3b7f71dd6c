"""Subagents: an agent as a tool of another one, and `delegate`, which gives tasks to several.

    researcher = Assistant(llm=llm, files=["report.pdf"])
    agent = FnCallAgent([researcher.as_tool("researcher", "Finds figures in the report.")], llm=llm)

Each task is a run of its own with a fresh context: only its answer, and the passages that it
cites, come back. Its calls are nested events of the outer run, its approvals are asked there, what
it uses counts there, and when the outer call is stopped, it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from qwenbelt.agents.answers.result import Citation, citations_in
from qwenbelt.agents.runtime.parent_run import ParentRun
from qwenbelt.core.errors import ConfigError, QwenbeltError, ToolError
from qwenbelt.core.events import Done, ToolFinished
from qwenbelt.tools.base import Tool, ToolContext

if TYPE_CHECKING:
    from qwenbelt.agents.fncall import FnCallAgent

MAX_DEPTH = 5  # runs inside each other
_NUMBERS = 100  # a subagent's [7] is [107] outside, the next one's [207]


class TaskArguments(BaseModel):
    """The arguments of a subagent."""

    task: str = Field(
        description="The whole task: the subagent knows nothing of this conversation but its files."
    )


class DelegatedTask(BaseModel):
    """One task of `delegate`."""

    agent: str = Field(description="The agent's name.")
    task: str = Field(description="The whole task: the agent knows nothing else but the files.")


class DelegateArguments(BaseModel):
    """The arguments of `delegate`."""

    tasks: list[DelegatedTask] = Field(min_length=1, max_length=64)


class Subagent(Tool):
    """An agent that does tasks for another one.

    Args:
        agent: the agent.
        name: the tool's name.
        description: its description for the model.
        background: whether the outer model goes on while it works.
    """

    Arguments = TaskArguments
    timeout = None
    weight = 0  # it only waits; its calls take the places

    def __init__(
        self, agent: FnCallAgent, name: str, description: str, *, background: bool = False
    ) -> None:
        self.agent = agent
        self.background = background
        self.name = name
        self.description = description
        self.read_only = only_reads([agent])
        super().__init__()

    async def acall(self, arguments: Any, **kwargs: Any) -> str:
        """Runs the task and returns its answer with the passages that it cites."""
        context = kwargs.get("context") or ToolContext()
        return await run_inside(self.agent, arguments.task, context, context.call_id)


class Delegate(Tool):
    """Gives tasks to agents, side by side.

    Args:
        agents: the agents, by name or with names of their own.

    Raises:
        ConfigError: there is none, or one has no name.
    """

    name = "delegate"
    Arguments = DelegateArguments
    timeout = None
    weight = 0

    def __init__(self, agents: Sequence[FnCallAgent] | Mapping[str, FnCallAgent]) -> None:
        named = dict(agents) if isinstance(agents, Mapping) else {a.name or "": a for a in agents}
        if not named or "" in named:
            raise ConfigError(
                "delegate needs agents with names.", fix="Give each of them name=... ."
            )
        self.agents = named
        listed = "\n".join(f"- {name}: {a.description or 'no words'}" for name, a in named.items())
        self.description = (
            "Gives tasks to agents that work side by side, each with a context of its own. "
            f"Returns their answers.\nAgents:\n{listed}"
        )
        self.read_only = only_reads(list(named.values()))
        super().__init__()

    async def acall(self, arguments: Any, **kwargs: Any) -> str:
        """Runs the tasks and returns the answers in their order."""
        context = kwargs.get("context") or ToolContext()
        for task in arguments.tasks:
            if task.agent not in self.agents:
                known = ", ".join(self.agents)
                raise ToolError(f"There is no agent {task.agent!r}. Agents: {known}.")
        runs = [
            asyncio.ensure_future(
                _outcome(self.agents[task.agent], task.task, context, f"{context.call_id}.{place}")
            )
            for place, task in enumerate(arguments.tasks, 1)
        ]
        try:
            answers = await asyncio.gather(*runs)
        finally:
            for run in runs:
                run.cancel()
            await asyncio.wait(runs)
        heads = [f"[task {n}, {task.agent}]" for n, task in enumerate(arguments.tasks, 1)]
        return "\n\n".join(f"{head}\n{answer}" for head, answer in zip(heads, answers, strict=True))


def delegate(agents: Sequence[FnCallAgent] | Mapping[str, FnCallAgent]) -> Delegate:
    """Returns the tool `delegate` over these agents, for an agent's `function_list`."""
    return Delegate(agents)


def only_reads(agents: Sequence[Any]) -> bool:
    """Returns whether no tool of these agents has effects."""
    tools = [tool for agent in agents for tool in agent.function_map.values()]
    return all(getattr(tool, "read_only", False) for tool in tools)


async def _outcome(agent: FnCallAgent, task: str, context: ToolContext, prefix: str) -> str:
    """Returns an answer, or why there is none: one task must not cost the others."""
    try:
        return await run_inside(agent, task, context, prefix)
    except QwenbeltError as error:
        return f"Error: {error}"


async def run_inside(agent: FnCallAgent, task: str, context: ToolContext, prefix: str) -> str:
    """Runs a task of an agent inside a call of another run; returns its answer.

    Args:
        agent: who does it.
        task: what to do.
        context: the outer call's.
        prefix: ids of the task's calls begin with it.

    Raises:
        ToolError: it failed, or the runs are nested too deeply.
    """
    parent = context.parent if isinstance(context.parent, ParentRun) else None
    if parent is not None and parent.depth >= MAX_DEPTH:
        raise ToolError(f"Subagents are nested more than {MAX_DEPTH} deep.")
    run = agent.stream(
        [{"role": "user", "content": _content(task, context)}],
        lang=context.language,
        session=f"{context.session}.{prefix or 'task'}",
        folder=context.folder,
        parent=parent,
    )
    done, shown = None, run.shown_before()
    try:
        async with aclosing(run) as events:
            async for event in events:
                if parent is not None:
                    parent.tell(event, prefix, run.approve)
                if isinstance(event, ToolFinished):
                    shown.append(event.result)
                if isinstance(event, Done):
                    done = event
    except QwenbeltError as error:
        raise ToolError(f"The subagent failed: {error}") from error
    if done is None:
        raise ToolError("The subagent was stopped.")
    number = next(parent.numbers) if parent is not None else 0
    cited: list[Citation] = []
    if "[" in done.text:  # pages are read, so not here
        cited = await asyncio.to_thread(
            lambda: list(citations_in(done.text, shown, run.plan.files))
        )
    text = _renumbered(done.text, cited, number)
    if done.reason != "answer":
        text = f"{text}\n[The subagent ended early: {done.detail or done.reason}]".strip()
    return text


def _content(task: str, context: ToolContext) -> Any:
    files = [{"file": str(path)} for path in context.files.values()]
    return [*files, {"text": task}] if files else task


def _renumbered(text: str, cited: Sequence[Citation], number: int) -> str:
    """Returns an answer whose passages have numbers that no other subagent's have."""
    added = _NUMBERS * number
    passages = []
    for citation in cited:
        if citation.n is not None:
            text = text.replace(f"[{citation.n}]", f"[\0{citation.n + added}]")
            head = f"[{citation.n + added}] {citation.file} p.{citation.page}"
            passages.append(f"{head}\n{citation.quote}")
    text = text.replace("\0", "")
    return "\n\n".join([text, *passages])
