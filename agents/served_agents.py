"""Agents in files as operations, for servers that offer them as tools."""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel, Field

from qwenbelt.agents.agent_files import DescribedAgent, agent_file, read_agent
from qwenbelt.core.errors import ToolCancelled, ToolError
from qwenbelt.core.events import Done, ToolStarted
from qwenbelt.tools.operation import Operation, OperationCall, OperationResult

if TYPE_CHECKING:
    from qwenbelt.agents.fncall import FnCallAgent

_LOOK_SECONDS = 0.1  # between two looks whether the client has cancelled
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]+")
_OUTPUT = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "description": "The answer"},
        "reason": {"type": "string", "description": "Why the run ended; `answer` if it is whole"},
        "tools": {"type": "array", "items": {"type": "string"}, "description": "Tools it called"},
    },
    "required": ["text", "reason", "tools"],
}


class ServedTask(BaseModel):
    """The arguments of an agent that is a tool."""

    task: str = Field(
        min_length=1, description="The whole task: the agent knows nothing of your conversation."
    )


class AgentPlace(Protocol):
    """Where a client's files are."""

    def folder(self, call: OperationCall) -> Path:
        """Returns the working folder of the client's session."""

    def session(self, call: OperationCall) -> str:
        """Returns the name of the client's session."""


def agent_operation(which: str, approve: Literal["auto", "never"] = "never") -> Operation:
    """Returns an agent's file as an operation; the agent is made when it is first called.

    Args:
        which: the agent's name, or the path of its file.
        approve: what becomes of calls that a person would be asked about: nobody is here to ask.

    Raises:
        ConfigError: there is no such agent, or its file is wrong.
    """
    served = _ServedAgent(read_agent(agent_file(which)), approve)
    name = served.described.name
    return Operation(
        _NOT_IN_NAMES.sub("_", name).strip("_").lower() or "agent",
        name,
        served.described.description or f"Gives a task to the agent {name}; its answer comes back.",
        ServedTask,
        served.run,
        _OUTPUT,
        read_only=False,
        long=True,
    )


class _ServedAgent:
    def __init__(self, described: DescribedAgent, approve: Literal["auto", "never"]) -> None:
        self.described = described
        self._approve = approve
        self._made: FnCallAgent | None = None
        self._lock = threading.Lock()

    def run(self, place: AgentPlace, given: ServedTask, call: OperationCall) -> OperationResult:
        """Does a task, tells which tools are called, and stops when the client cancels."""
        return asyncio.run(self._watched(place, given, call))

    def _agent(self) -> FnCallAgent:
        with self._lock:
            if self._made is None:
                self._made = self.described.make(approve=self._approve)
            return self._made

    async def _watched(
        self, place: AgentPlace, given: ServedTask, call: OperationCall
    ) -> OperationResult:
        agent = await asyncio.to_thread(self._agent)
        work = asyncio.ensure_future(self._answer(agent, place, given, call))
        while not work.done():
            await asyncio.wait([work], timeout=_LOOK_SECONDS)
            if call.cancelled.is_set():
                work.cancel()
                await asyncio.wait([work])
                raise ToolCancelled("The call was cancelled.")
        return work.result()

    async def _answer(
        self, agent: FnCallAgent, place: AgentPlace, given: ServedTask, call: OperationCall
    ) -> OperationResult:
        run = agent.stream(
            [{"role": "user", "content": given.task}],
            session=f"{place.session(call)}.{self.described.name}",
            folder=place.folder(call),
        )
        called: list[str] = []
        done: Done | None = None
        async with aclosing(run) as events:
            async for event in events:
                if isinstance(event, ToolStarted):
                    called.append(event.name)
                    call.report(f"{self.described.name}: {event.name}")
                if isinstance(event, Done):
                    done = event
        if done is None:
            raise ToolError(f"The agent {self.described.name} was stopped.")
        if done.reason != "answer" and not done.text:
            raise ToolError(
                f"The agent {self.described.name} has no answer: {done.detail or done.reason}"
            )
        data: dict[str, Any] = {"text": done.text, "reason": done.reason, "tools": called}
        note = "" if done.reason == "answer" else f"[ended early: {done.detail or done.reason}]"
        return OperationResult(done.text, data, note)
