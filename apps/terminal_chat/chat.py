"""The chat in the terminal: reads questions and commands, shows answers while they come."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from qwenbelt.agents.models.encoding import text_of
from qwenbelt.apps.agent_choice import AgentChoice, make_agent, trusted_tools
from qwenbelt.apps.answers import doubt_about
from qwenbelt.apps.conversation import Approver, ChatConversation, Follower
from qwenbelt.apps.echo import echo
from qwenbelt.apps.export import message_text, save_conversation
from qwenbelt.apps.lanes import draw_lanes, ink_for
from qwenbelt.apps.strings import explain_error, say
from qwenbelt.apps.terminal_chat.approver import terminal_approver
from qwenbelt.apps.terminal_chat.chat_commands import ChatExtras
from qwenbelt.apps.terminal_chat.interrupt import InterruptibleLoop
from qwenbelt.apps.terminal_chat.run_display import TerminalView
from qwenbelt.apps.terminal_chat.session_choice import store_place
from qwenbelt.apps.terminal_chat.words import argument_words
from qwenbelt.apps.terminal_pictures import picture_protocol, show_picture
from qwenbelt.apps.timeline import Timeline
from qwenbelt.core.errors import InputError, QwenbeltError, one_line
from qwenbelt.core.events import Event
from qwenbelt.core.language import user_language
from qwenbelt.core.limits import input_file
from qwenbelt.core.settings import load_settings
from qwenbelt.core.terminal import terminal_text
from qwenbelt.core.trace import TraceWriter
from qwenbelt.tools.mcp.offered import Offered

if TYPE_CHECKING:
    from qwenbelt.agents.sessions.session import Session

_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
_MODES = ("untrusted", "ask", "auto", "never")


class Chat:
    """One conversation at the terminal.

    Args:
        choice: how the agent is made; commands change it.
        console: where answers go.
        messages: an earlier conversation to continue.
        session: a stored conversation to continue.
        store: where a new conversation is kept; None keeps it in memory.
        durable: whether a last turn that was cut off is gone on with at once.
    """

    def __init__(
        self,
        choice: AgentChoice,
        console: Console,
        messages: list[dict[str, Any]] | None = None,
        *,
        session: Session | None = None,
        store: str | None = None,
        durable: bool = False,
    ) -> None:
        self.choice = choice
        self.console = console
        self.session = f"chat-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
        self.folder = load_settings().workspace / "sessions" / self.session
        self._off: set[str] = set()
        self._made: dict[str, Any] = {}
        if session is None and store is not None:
            from qwenbelt.agents.sessions.session import Session

            session = Session(store, self.session)
        self._store = store
        self._durable = durable
        self.conversation = ChatConversation(self._agent(), messages or [], session)
        self.files: list[Path] = []
        self._told_of: list[Path] = []  # files of the conversation
        self.timeline = Timeline()
        self._live = console.is_terminal
        self._allowed = trusted_tools(self.conversation.agent)
        self._extras = ChatExtras(self)
        self._commands: dict[str, tuple[str, str, Callable[[str], None]]] = {
            "/help": ("", "chat_help", self._help),
            "/file": ("PATH", "chat_help_file", self._file),
            "/tools": ("[on|off NAME]", "chat_help_tools", self._tools),
            "/model": ("[SPEC]", "chat_help_model", self._model),
            "/think": ("on|off", "chat_help_think", self._think),
            "/approve": ("untrusted|ask|auto|never", "chat_help_approve", self._approve),
            "/mcp": ("", "chat_help_mcp", self._mcp),
            "/lanes": ("", "chat_help_lanes", self._lanes),
            "/save": ("[FILE]", "chat_help_save", self._save),
            "/clear": ("", "chat_help_clear", self._clear),
            **self._extras.commands(self._save),
            "/quit": ("", "chat_help_quit", self._quit),
        }

    # -- the conversation ---------------------------------------------------------------------

    def run(self) -> None:
        """Reads and answers until the person leaves."""
        names = self.conversation.agent.function_map
        self._say("chat_hello", **self._where(), tools=len(names))
        with (
            InterruptibleLoop() as loop,
            _history_file(),
            _tab_completion(self._complete),
            contextlib.suppress(EOFError, SystemExit),
        ):
            self._go_on(loop)
            while True:
                try:
                    line = self._read()
                except KeyboardInterrupt:
                    echo()  # what was typed stands in this line
                    self._say("chat_leave")
                    continue
                with self._one_line_errors():
                    filled = self._offered().fill(line) if line.startswith("/") else line
                    if filled is None:
                        self._command(line)
                        filled, self._extras.again = self._extras.again, ""
                    if filled:
                        self.answer(loop, filled)

    def _read(self) -> str:
        prompt = "› " if self._live and sys.stdin.isatty() else ""
        line = input(prompt)
        while line.endswith("\\"):
            line = line[:-1] + "\n" + input("… " if prompt else "")
        return line.strip()

    @contextlib.contextmanager
    def _one_line_errors(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            self._say("interrupted")
        except QwenbeltError as error:
            text = terminal_text(one_line(explain_error(error), 2000))
            echo(click.style(self.folded(text), "red"), err=True)

    def answer(self, loop: InterruptibleLoop, text: str) -> None:
        """Asks the agent and shows the answer; the messages are kept, also after an interrupt.

        Raises:
            EndpointError: the endpoint failed.
        """
        offered = self._offered()
        self.files += offered.take(text, self.folder)
        again = offered.refreshed(self._asked(), self.folder)
        self.files += [path for paths in again.files.values() for path in paths]
        if told := again.told():
            text = f"{text}\n\n{told}"
            echo(terminal_text(told), err=True)
        if again.away:
            self._say("chat_away", names=", ".join(again.away))
        run = self.conversation.ask(text, self.files)
        given, self.files = self.files, []
        self._told_of += given
        self._show(loop, run, given)

    def _asked(self) -> list[str]:
        """Returns the questions so far."""
        return [message_text(m) for m in self.conversation.messages if m["role"] == "user"]

    def _go_on(self, loop: InterruptibleLoop) -> None:
        """Goes on with a question whose answer was cut off, where that was asked for."""
        asked = self.conversation.cut_off() if self._durable else None
        if asked is not None:
            self._say("chat_goes_on", question=one_line(text_of(asked.get("content")), 80))
            with self._one_line_errors():
                self._show(loop, self.conversation.ask_message(asked))

    def _show(self, loop: InterruptibleLoop, run: Any, given: Sequence[Path] = ()) -> None:
        self.timeline = Timeline()
        with contextlib.ExitStack() as stack:
            sinks: list[Callable[[Event], None]] = [self._note_times]
            view = None
            if self._live:
                view = stack.enter_context(TerminalView(self.console))
                sinks.append(view.feed)
            self.folder.mkdir(parents=True, exist_ok=True)
            trace = self.folder / f"trace-{len(self.conversation.messages)}.jsonl"
            sinks.append(stack.enter_context(TraceWriter(trace)).write)
            follower = Follower(run, sinks, self._approver(view))
            try:
                done = loop.run(follower.follow(), follower.stop)
            finally:
                self.conversation.keep(run)
        if not self._live:
            echo(done.text)
        else:
            self._show_pictures()
        if done.reason == "cancelled":
            self._say("interrupted")
        elif done.reason == "answer":
            ends = [call.end for call in self.timeline.calls if not call.parent]
            language, earlier = user_language(), self._told_of
            if doubt := doubt_about(done.text, given, ends, language, earlier=earlier):
                self._tell(doubt)

    def _show_pictures(self) -> None:
        """Shows the pictures that tools made, where the terminal can; their paths stand above."""
        if picture_protocol() == "none":
            return
        made = [Path(path) for call in self.timeline.calls for path in call.artifacts]
        for path in dict.fromkeys(made):
            if path.suffix.lower() in _PICTURES and path.is_file():
                show_picture(path)

    def _note_times(self, event: Event) -> None:
        self.timeline.add(event.to_dict())
        self._extras.take(event)

    def _approver(self, view: TerminalView | None) -> Approver:
        return terminal_approver(view, self._allowed)

    def _agent(self) -> Any:
        agent = make_agent(self.choice, self._made, session=self.session, folder=self.folder)
        for name in self._off:
            agent.function_map.pop(name, None)
        return agent

    def _where(self) -> dict[str, str]:
        llm = self.conversation.agent.llm
        cfg = getattr(llm, "cfg", None) or {}
        return {"model": str(llm.model), "endpoint": str(cfg.get("model_server") or "?")}

    def _say(self, key: str, **values: object) -> None:
        self._tell(say(key, **values))

    def _tell(self, text: str) -> None:
        echo(click.style(self.folded(text), dim=True), err=True)

    def folded(self, text: str, indent: int = 0) -> str:
        """Returns a text in lines of the terminal: it would break them inside words."""
        if not self._live:
            return text
        lines = Text(text).wrap(self.console, max(20, self.console.width - indent))
        return f"\n{' ' * indent}".join(line.plain.rstrip() for line in lines)

    # -- what its commands need ---------------------------------------------------------------

    @property
    def store_place(self) -> str:
        """Where conversations are kept."""
        kept = self.conversation.session
        return str(kept.place) if kept is not None else store_place(self._store)

    def go_on_with(self, session: Session) -> None:
        """Goes on with a stored conversation."""
        self.conversation = ChatConversation(self.conversation.agent, [], session)
        self._told_of.clear()

    def tool_names(self) -> list[str]:
        """Returns the tools, also those that are switched off."""
        return [*self.conversation.agent.function_map, *sorted(self._off)]

    def session_names(self) -> list[str]:
        """Returns the names of the conversations that are kept."""
        from qwenbelt.agents.sessions.session import known_sessions

        return [one.name for one in known_sessions(self.store_place)]

    # -- commands -----------------------------------------------------------------------------

    def _command(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        if name not in self._commands:
            close = difflib.get_close_matches(name, self._commands, n=2, cutoff=0.6)
            fix = say("close_to", names=" / ".join(close)) if close else None
            raise InputError(say("chat_unknown", name=name), fix=fix)
        self._commands[name][2](rest.strip())

    def _help(self, rest: str) -> None:
        shown = {f"{n} {c[0]}": c[1] for n, c in self._commands.items()}
        narrow = self.console.width < 2 * max(map(len, shown))
        width = 0 if narrow else max(map(len, shown)) + 2
        for command, key in shown.items():
            line = say(key) if key.startswith("chat_help") else key
            if narrow:
                echo(f"  {command}\n      {self.folded(line, 6)}")
            else:
                echo(f"  {command:<{width}}{self.folded(line, width + 2)}")

    def _offered(self) -> Offered:
        return Offered(self.conversation.agent.function_map.values())

    def _complete(self, line: str) -> list[str]:
        if line.startswith("/") and " " not in line:
            own = [name for name in self._commands if name.startswith(line)]
            return own + self._offered().complete(line)
        if line.startswith("/") and line.split(" ", 1)[0] in self._commands:
            return argument_words(self, line)
        return self._offered().complete(line)

    def _mcp(self, rest: str) -> None:
        offered = self._offered()
        for prompt in offered.prompts():
            words = " ".join(f"{name}=…" for name in prompt.arguments)
            about = one_line(prompt.description or prompt.title, 80)
            echo(terminal_text(f"  {prompt.command} {words}  {about}"))
        for resource in offered.resources():
            echo(terminal_text(f"  {resource.reference}  {one_line(resource.title, 80)}"))
        if not offered.servers:
            self._say("chat_no_mcp")

    def _file(self, rest: str) -> None:
        if rest:
            self.files.append(input_file(rest.strip("\"'")).resolve())
        names = ", ".join(path.name for path in self.files)
        self._say("chat_attached", names=names) if names else self._say("chat_no_files")

    def _tools(self, rest: str) -> None:
        state, _, name = rest.partition(" ")
        agent = self.conversation.agent
        if rest:
            if state not in ("on", "off") or name not in agent.function_map | dict.fromkeys(
                self._off
            ):
                known = ", ".join([*agent.function_map, *self._off])
                fix = f"on|off: {known}" if known else None
                raise InputError(say("no_tool", name=name or rest), fix=fix)
            (self._off.add if state == "off" else self._off.discard)(name)
            self.conversation.agent = self._agent()
        for tool in self.conversation.agent.function_map:
            echo(f"  {say('chat_on'):<4} {terminal_text(tool)}")
        for tool in sorted(self._off):
            echo(f"  {say('chat_off'):<4} {terminal_text(tool)}")
        if not self.tool_names():
            self._say("chat_no_tools")

    def _model(self, rest: str) -> None:
        if rest:
            self._change(endpoint=rest)
        self._say("chat_model", **self._where())

    def _think(self, rest: str) -> None:
        if rest and rest not in ("on", "off"):
            raise InputError(say("chat_think_states"))
        if rest:
            self._change(think=rest == "on")
        states = {True: "chat_on", False: "chat_off", None: "chat_think_default"}
        self._say("chat_think", state=say(states[self.choice.think]))

    def _approve(self, rest: str) -> None:
        if rest:
            if rest not in _MODES:
                raise InputError(say("chat_approve_modes"))
            self._change(approve=rest)
        self._say("chat_approve", mode=self.choice.approve)

    def _change(self, **changes: Any) -> None:
        """Makes the agent again; when that fails, the old one stays."""
        before = self.choice
        self.choice = dataclasses.replace(before, **changes)
        try:
            self.conversation.agent = self._agent()
        except QwenbeltError:
            self.choice = before
            raise

    def _lanes(self, rest: str) -> None:
        if not self.timeline.models:
            self._say("chat_no_lanes")
            return
        for line in draw_lanes(
            self.timeline, self.console.width, ink=ink_for(self.console.encoding)
        ):
            self.console.print(line)

    def _save(self, rest: str) -> None:
        path = save_conversation(self.conversation.messages, rest or self.folder / "chat.md")
        self._say("chat_saved", path=path)

    def _clear(self, rest: str) -> None:
        self.conversation.clear()
        self._told_of.clear()
        self._say("chat_cleared")

    def _quit(self, rest: str) -> None:
        raise SystemExit(0)


@contextlib.contextmanager
def _tab_completion(complete: Callable[[str], list[str]]) -> Iterator[None]:
    """Completes commands, prompts and resources by Tab, where the platform has readline."""
    try:
        import readline
    except ImportError:
        yield
        return
    found: list[str] = []

    def step(_: str, state: int) -> str | None:
        if state == 0:
            found.clear()
            with contextlib.suppress(QwenbeltError):  # a server that is down suggests nothing
                found.extend(complete(readline.get_line_buffer()[: readline.get_endidx()]))
        return found[state] if state < len(found) else None

    before = (readline.get_completer(), readline.get_completer_delims())
    readline.set_completer(step)
    readline.set_completer_delims(" ")
    readline.parse_and_bind("tab: complete")
    # the editor key of shells: what is typed so far goes to /write, which opens $EDITOR on it
    readline.parse_and_bind('"\\C-x\\C-e": "\\C-a/write \\C-m"')
    try:
        yield
    finally:
        readline.set_completer(before[0])
        readline.set_completer_delims(before[1])


@contextlib.contextmanager
def _history_file() -> Iterator[None]:
    """Keeps the lines that were typed for the next chat, where the platform has readline."""
    try:
        import readline
    except ImportError:
        yield
        return
    path = load_settings().workspace / "chat_history"
    if not sys.stdin.isatty():
        yield
        return
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(1000)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(path)
