"""Programs in the sandbox of the code interpreter, and the tool `shell` on them.

A program is run by a kernel, so that it has that kernel's walls, limits, files and cancelling.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from qwenbelt.core.errors import ToolRefused
from qwenbelt.tools.base import Ended, Tool, ToolContext, ToolResult
from qwenbelt.tools.code_interpreter import strings
from qwenbelt.tools.code_interpreter.host import kernel_host
from qwenbelt.tools.code_interpreter.tool import CodeArguments, CodeInterpreter, shown

_EXIT = "ExitStatus"
# Output is read until the program has ended, not until all have closed it: what it has left
# running holds it open. "{python}" is replaced by the sandbox's own.
_CELL = """
def _run(argv, more):
    import os, signal, subprocess, sys, threading
    plain = {k: v for k, v in os.environ.items() if "COLOR" not in k}
    plain.update(TERM="dumb", MPLBACKEND="Agg", PYTHONDONTWRITEBYTECODE="1", PYTHONUNBUFFERED="1")
    program = subprocess.Popen(
        [sys.executable if word == "{python}" else word for word in argv],
        env={**plain, **more}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )
    def read():
        import codecs
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while piece := os.read(program.stdout.fileno(), 65536):
            sys.stdout.write(decoder.decode(piece))
            sys.stdout.flush()
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        code = program.wait()
        reader.join(0.3)
    except BaseException:
        os.killpg(program.pid, signal.SIGKILL)
        raise
    return code
_code = _run(*__import__("json").loads(%s))
if _code:
    raise type("ExitStatus", (Exception,), {})(_code)
"""


class SandboxCommands:
    """Runs programs in the folder of a conversation, in kernels of their own.

    Args:
        cfg: as of `CodeInterpreter`.
        kind: distinguishes these kernels from others of the conversation.
        keeps: whether background processes run on until the conversation's kernels end.
    """

    def __init__(self, cfg: Mapping[str, Any], kind: str, *, keeps: bool = False) -> None:
        self._interpreter = CodeInterpreter(dict(cfg))
        self._kind = kind
        self._keeps = keeps

    @property
    def contained(self) -> bool:
        """Whether programs can reach nothing but the folder."""
        return self._interpreter.contained

    async def run(
        self,
        argv: Sequence[str],
        context: ToolContext,
        *,
        environment: Mapping[str, str] | None = None,
        files: object = None,
        seconds: float | None = None,
    ) -> Ended:
        """Runs a program and returns its output, figures and files.

        Args:
            argv: the program and its arguments; "{python}" is the sandbox's.
            context: of the call.
            environment: further variables.
            files: further files of the conversation, as stock agents hand them over.
            seconds: its time limit.

        Raises:
            ToolError: no sandbox can be started, or the call was cancelled.
        """
        session, folder = self._interpreter.place(context)
        inner = replace(context, session=f"{session}.{self._kind}", folder=folder, calls=None)
        context.so_far = lambda: inner.so_far()
        where = json.dumps(json.dumps([list(argv), dict(environment or {})]))
        arguments = CodeArguments(code=_CELL.replace("%s", where), timeout=seconds)
        try:
            result, call, folder = await self._interpreter.run_cell(arguments, inner, files)
        finally:
            if not self._keeps:
                kernel_host().submit(kernel_host().end(inner.session))
        outcome = result.outcome
        if outcome.error_name == _EXIT:
            found = re.search(rf"{_EXIT}: (-?\d+)\s*\Z", outcome.error)
            status = found[1] if found else "?"
            outcome.error = strings.say("exit_status", context.language, status=status)
        return shown(result, replace(call, code=""), folder, context.language)

    def close(self) -> None:
        """Ends the kernels."""
        self._interpreter.close()


class ShellArguments(BaseModel):
    """The arguments of `shell`."""

    command: str = Field(description="The command line for bash.", min_length=1)
    timeout: float | None = Field(
        default=None, ge=0, description="Time limit in seconds, when it needs longer."
    )


class ShellTool(Tool):
    """Runs commands with bash in the conversation's folder, in the sandbox of the code.

    Args:
        cfg: as of `CodeInterpreter`: `timeout`, `network`, `read_only`, `work_dir`, `limits`, ….
    """

    name = "shell"
    description = strings.SHELL
    Arguments = ShellArguments
    destructive = False
    file_access = True  # stock agents hand over the conversation's files then
    timeout = None  # the kernel keeps the time limit

    def __init__(self, cfg: dict[str, Any] | None = None) -> None:
        super().__init__(cfg)
        self.timeout = None
        if self.cfg.get("server"):
            raise ToolRefused(
                "The shell tool does not run on a Jupyter server.", fix="Leave out `server`."
            )
        self._commands = SandboxCommands(self.cfg, "shell", keeps=True)

    @property
    def contained(self) -> bool:  # type: ignore[override]
        """Whether commands can reach nothing but the folder."""
        return self._commands.contained

    def resources(self, arguments: Any) -> tuple[set[str], set[str]]:
        """Commands of a conversation run one after the other."""
        return set(), {"shell"}

    async def acall(self, arguments: ShellArguments, **kwargs: Any) -> ToolResult:
        """Runs the command and returns its output and the files that it has written."""
        return await self._commands.run(
            ["bash", "-c", arguments.command],
            kwargs.get("context") or ToolContext(),
            files=kwargs.get("files"),
            seconds=arguments.timeout,
        )

    def close(self) -> None:
        """Ends the kernels that ran the commands."""
        self._commands.close()


def command_for(script: Path, arguments: Sequence[str]) -> list[str] | None:
    """Returns the words that run a script, by its name or its first line; None for others."""
    kinds = {".py": ["{python}"], ".sh": ["bash"], ".bash": ["bash"], ".js": ["node"]}
    words = kinds.get(script.suffix.lower())
    if words is None:
        with script.open("rb") as file:
            head = file.read(128).split(b"\n", 1)[0]
        for mark, found in ((b"python", ["{python}"]), (b"sh", ["bash"]), (b"node", ["node"])):
            if head.startswith(b"#!") and mark in head:
                words = found
                break
    return None if words is None else [*words, str(script), *arguments]
