"""The tool `code_interpreter`: runs Python code and shows its results."""

from __future__ import annotations

import asyncio
import contextlib
import re
import uuid
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from qwen_agent.llm.schema import ContentItem

from qwenbelt.core.errors import ConfigError, ToolError
from qwenbelt.core.settings import load_settings
from qwenbelt.tools.base import Ended, Tool, ToolContext, ToolResult, loads_arguments
from qwenbelt.tools.code_interpreter import strings
from qwenbelt.tools.code_interpreter.hints import hints
from qwenbelt.tools.code_interpreter.host import kernel_host, running_host
from qwenbelt.tools.code_interpreter.launch import mode_level
from qwenbelt.tools.code_interpreter.options import SessionLimits, SessionOptions
from qwenbelt.tools.code_interpreter.outcome import Capped, plain
from qwenbelt.tools.code_interpreter.proxy import ANY
from qwenbelt.tools.code_interpreter.sandbox.level import layers
from qwenbelt.tools.code_interpreter.session import CellResult, CodeCell

_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:\n```|```|\Z)", re.DOTALL)


class CodeArguments(BaseModel):
    """The arguments of a call."""

    code: str = Field(description="The Python code to run.")
    timeout: float | None = Field(
        default=None, ge=0, description="Time limit in seconds, when the code needs longer."
    )
    restart: bool = Field(
        default=False, description="Begin with a fresh session: variables are gone, files stay."
    )


class CodeInterpreter(Tool):
    """Runs Python code in a session that keeps its state; drop-in for qwen-agent's tool.

    Args:
        cfg: `allow_unsandboxed` (bool), `timeout` (seconds of a call), `work_dir` (the session
            folder for calls without a context), `session` (a name for those calls' session),
            `isolation` ("namespaces", "landlock", "container", "none"), `engine` and `image` (of
            containers, where the other layers are missing), `network` (true for public hosts, or a
            list of hosts), `read_only` (further folders that code may read), `packages` and
            `package_options`, `server`, `token` and `kernel` (a Jupyter server on which the code
            runs instead), and the fields of `SessionLimits` under `limits`.
    """

    name = "code_interpreter"
    description = strings.DESCRIPTION
    Arguments = CodeArguments
    destructive = False
    file_access = True  # stock agents hand over the conversation's files then
    calls_tools = True
    timeout = None  # the session keeps the time limit itself, so that it can say what became of it

    def __init__(self, cfg: dict[str, Any] | None = None) -> None:
        super().__init__(cfg)
        self.timeout = None
        self.session = str(self.cfg.get("session") or f"tool-{uuid.uuid4().hex[:12]}")
        self.options = _options(self.cfg)
        self._owned = {self.session}
        self._end = weakref.finalize(self, _end_sessions, self._owned)

    @property
    def function(self) -> dict[str, Any]:
        """The declaration for the model; it describes how the code is isolated."""
        return {
            **super().function,
            "description": strings.description(self._level(), self.options.hosts),
        }

    @property
    def contained(self) -> bool:  # type: ignore[override]
        """Whether the code can reach nothing but its folder: isolated, and without a network."""
        return self._level() not in ("none", "server") and not self.options.hosts

    def _level(self) -> str:
        return "server" if self.options.server else mode_level(layers(), self.options)

    def resources(self, arguments: Any) -> tuple[set[str], set[str]]:
        """A call writes its session's kernel, so calls of one session run one after the other."""
        return set(), {f"kernel:{self.session}"}

    def parse(self, params: str | Mapping[str, Any] | BaseModel) -> Any:
        """Takes JSON, or, as qwen-agent's tool does, a fenced or bare block of code."""
        if not isinstance(params, str):
            return super().parse(params)
        text = params.strip()
        if text.startswith(("{", '"')):
            try:
                values = loads_arguments(text)
            except ToolError:
                if not _is_code(text):
                    raise
            else:
                return super().parse(values)
        return CodeArguments(code=code_of(text))

    async def acall(self, arguments: CodeArguments, **kwargs: Any) -> ToolResult:
        """Runs the code and returns its text, figures and files.

        Raises:
            ToolRefused: there is no sandbox here and running without one is not allowed.
            ToolCancelled: the call was cancelled.
            ToolError: a file of the conversation cannot be used, or no session can be started.
        """
        context = kwargs.get("context") or ToolContext()
        if not arguments.code.strip() and not arguments.restart:
            raise ToolError("The code is empty: give the Python code to run in `code`.")
        result, call, folder = await self.run_cell(
            arguments, context, kwargs.get("files"), kwargs.get("states") or ()
        )
        return shown(result, call, folder, context.language)

    async def run_cell(
        self,
        arguments: CodeArguments,
        context: ToolContext,
        files: object = None,
        states: Sequence[str] = (),
    ) -> tuple[CellResult, CodeCell, Path]:
        """Runs the code and returns its outcome, before it becomes a result for the model."""
        loop = asyncio.get_running_loop()
        printed = Capped(self.options.limits.output)
        context.so_far = lambda: plain(printed.text())

        def tell(text: str) -> None:
            printed.add(text)
            (context.on_output or context.report)(text)

        def report(text: str) -> None:
            loop.call_soon_threadsafe(tell, text)

        limits = self.options.limits
        call = CodeCell(
            code=arguments.code,
            seconds=min(arguments.timeout or limits.seconds, limits.longest),
            restart=arguments.restart,
            files=_files(context, files),
            report=report,
            cancelled=context.cancelled,
            calls=context.calls,
            states=states,
        )
        name, folder = self.place(context)
        running = kernel_host().submit(kernel_host().run(name, folder, self._allowed(), call))
        return await asyncio.wrap_future(running), call, folder

    def place(self, context: ToolContext) -> tuple[str, Path]:
        """Returns the session's name and its folder, which is made."""
        given = context.session != "default"
        name = context.session if given else self.session
        self._owned.add(name)
        folder = context.folder
        if folder is None and self.cfg.get("work_dir"):
            folder = Path(str(self.cfg["work_dir"])).expanduser()
        if folder is None:
            folder = load_settings().workspace / "sessions" / re.sub(r"[^\w.-]", "_", name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ToolError(f"The session folder cannot be made ({error.strerror}).") from error
        return name, folder.resolve()

    def prepare(self) -> None:
        """Gets ready in the background, at the first sign that code will be run."""
        kernel_host().submit(kernel_host().warm(self._allowed()))

    def _allowed(self) -> SessionOptions:
        if self.options.allow_unsandboxed or not load_settings().allow_unsandboxed:
            return self.options
        return replace(self.options, allow_unsandboxed=True)

    def close(self) -> None:
        """Ends the sessions that this tool has opened; their folders stay."""
        self._end()


def _end_sessions(names: set[str]) -> None:
    running = running_host()
    if running is None:
        return
    for name in names:
        with contextlib.suppress(ToolError):  # the host is closing: it ends them itself
            running.submit(running.end(name))


def _options(cfg: Mapping[str, Any]) -> SessionOptions:
    given = dict(cfg.get("limits") or {})
    if "timeout" in cfg:
        given["seconds"] = float(cfg["timeout"])
    try:
        limits = SessionLimits(**given)
    except TypeError as error:
        raise ConfigError(f"code_interpreter: unknown limit ({error}).") from None
    isolation = str(cfg.get("isolation", ""))
    if isolation not in ("", "namespaces", "landlock", "container", "none"):
        raise ConfigError(f"code_interpreter: unknown isolation {isolation!r}.")
    return SessionOptions(
        limits=limits,
        allow_unsandboxed=bool(cfg.get("allow_unsandboxed", False)),
        isolation=isolation,
        read_only=tuple(Path(str(p)).expanduser() for p in cfg.get("read_only", ())),
        server=str(cfg.get("server", "")),
        token=str(cfg.get("token", "")),
        kernel=str(cfg.get("kernel", "")),
        engine=str(cfg.get("engine", "")),
        image=str(cfg.get("image", "")),
        hosts=_hosts(cfg.get("network", False)),
        packages=tuple(str(name) for name in cfg.get("packages", ())),
        package_options=tuple(str(word) for word in cfg.get("package_options", ())),
    )


def _hosts(network: object) -> tuple[str, ...]:
    if isinstance(network, bool):
        return (ANY,) if network else ()
    if isinstance(network, (list, tuple)) and all(isinstance(host, str) for host in network):
        return tuple(network)
    raise ConfigError("code_interpreter: network must be true, false or a list of hosts.")


def code_of(text: str) -> str:
    """Returns the code of a fenced block, or the text itself when there is no fence."""
    found = _FENCE.search(text)
    return found.group(1) if found else text


def _is_code(text: str) -> bool:
    try:
        compile(text, "<cell>", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def _files(context: ToolContext, given: object) -> dict[str, Path]:
    """Returns the conversation's files by name; `files` is qwen-agent's list of local paths."""
    files = dict(context.files)
    for entry in given if isinstance(given, (list, tuple)) else ():
        path = Path(str(entry).removeprefix("file://"))
        if path.is_file():
            files.setdefault(path.name, path)
    return files


def shown(result: CellResult, call: CodeCell, folder: Path, language: str) -> Ended:
    """Returns the result as the chat shows it: text first, then figures and files."""
    items = [ContentItem(text=_text(result, call, folder, language))]
    items += [ContentItem(image=str(path)) for path in result.pictures]
    items += [ContentItem(file=str(path)) for path in result.files]
    status, error = result.outcome.status
    return Ended(items, status, error)


def _text(result: CellResult, call: CodeCell, folder: Path, language: str) -> str:
    outcome = result.outcome
    parts = [outcome.stdout.rstrip("\n")]
    if outcome.stderr.strip():
        parts.append(f"{strings.say('stderr', language)}\n{outcome.stderr.rstrip()}")
    parts += outcome.values
    if outcome.error and not (outcome.interrupted and outcome.error_name == "KeyboardInterrupt"):
        parts.append(outcome.error)
    if outcome.error_name == "StdinNotImplementedError":
        parts.append(strings.say("input", language))
    parts += hints(outcome, call.code, folder, language)
    parts += _notes(result, call, language)
    text = "\n".join(part for part in parts if part.strip())
    if text or result.pictures or result.files:
        return text
    return strings.say("restarted" if call.restart else "nothing", language)


def _notes(result: CellResult, call: CodeCell, language: str) -> list[str]:
    outcome = result.outcome
    notes: list[str] = []
    if outcome.lost_before:
        notes.append(strings.say("lost_before", language, ending=outcome.lost_before))
    if outcome.unkept is not None:
        names = ", ".join(f"{name} ({why})" for name, why in outcome.unkept.items())
        key = "earlier_state_without" if names else "earlier_state"
        notes.append(strings.say(key, language, names=names))
    if outcome.interrupted == "timeout":
        key = "timeout_lost" if outcome.ending else "timeout"
        notes.append(strings.say(key, language, seconds=call.seconds))
    elif outcome.ending:
        notes.append(strings.say("crashed", language, ending=outcome.ending))
    if outcome.left_out:
        what = ", ".join(f"{count} {name}" for name, count in outcome.left_out.items())
        notes.append(strings.say("left_out", language, what=what))
    notes += strings.troubles(result.troubles, language)
    if result.more_files:
        notes.append(strings.say("more_files", language, count=result.more_files))
    return notes
