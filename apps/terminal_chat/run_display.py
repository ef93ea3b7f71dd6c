"""Shows a running run in a terminal: text as Markdown, thoughts folded, calls as lines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from qwenbelt.apps.imitations import imitates_program
from qwenbelt.apps.lanes import BLOCKS, draw_lanes, ink_for
from qwenbelt.apps.markdown_stream import MarkdownStream
from qwenbelt.apps.strings import duration_text, explain_error, say, state_text
from qwenbelt.apps.terminal_chat.interrupt import quiet_keys
from qwenbelt.apps.terminal_chat.terminal_markdown import terminal_markdown
from qwenbelt.apps.timeline import CallTiming, Timeline
from qwenbelt.apps.todo_plan import PlanStep, done_of, plan_of
from qwenbelt.core.errors import one_line
from qwenbelt.core.events import (
    BuiltinTool,
    Done,
    Event,
    HistoryCompacted,
    MessageSent,
    ModelStarted,
    Notice,
    Retrying,
    TextDelta,
    TextRelabelled,
    ThinkingDelta,
)
from qwenbelt.core.reply_fold import ReplyFold
from qwenbelt.core.terminal import terminal_text

_STYLES = {
    "done": ("✓", "green"),
    "raised": ("!", "red"),
    "failed": ("✗", "red"),
    "refused": ("⊘", "yellow"),
    "cancelled": ("⊘", "yellow"),
    "timeout": ("⊘", "red"),
}
_PLAN = {"open": "☐", "doing": "▸", "done": "✓"}
_PLAIN_PLAN = {"open": "[ ]", "doing": "[~]", "done": "[x]"}
_PLAN_LINES = 20  # steps of a long plan that are printed
_REFRESHES = 8  # a second
_LONGEST_OPEN_BLOCK = 4000  # characters that are rendered again at each refresh


class TerminalView:
    """Takes in the events of one run and shows them.

    What is finished is printed for good; what still grows (the open paragraph, running calls, the
    latest thought) is below it in a region that is redrawn.
    """

    def __init__(self, console: Console, *, lanes: bool = True) -> None:
        self.console = console
        self.timeline = Timeline()
        self._lanes = lanes
        self._text = MarkdownStream()
        self._reply = ReplyFold()
        self._plan: list[PlanStep] = []
        self._printed = False  # whether text of the reply is there for good
        self._thinking_since: float | None = None
        self._live: Live | None = None
        # what is printed and what is redrawn must not cross: the region would be erased wrongly
        self._lock = threading.RLock()
        self._paused = threading.Event()
        self._undo_quiet: Callable[[], None]
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            TextDelta: self._on_text,
            ThinkingDelta: self._on_thinking,
            TextRelabelled: self._on_relabelled,
            Retrying: self._on_retrying,
            MessageSent: lambda event: self._note(event.text),
            Notice: lambda event: self._note(event.text),
            BuiltinTool: lambda event: self._note(event.line),
            HistoryCompacted: self._on_compacted,
            Done: self._on_done,
        }

    def __enter__(self) -> TerminalView:
        self.resume()
        return self

    def __exit__(self, *error: object) -> None:
        self.pause()

    def pause(self) -> None:
        """Prints what is open and takes the moving region away, so that others may write."""
        with self._lock:
            self._paused.set()
            self._end_thought()
            self._end_text()
            if self._live is not None:
                self._live.stop()
                self._live = None
                self._undo_quiet()

    def resume(self) -> None:
        """Brings the moving region back."""
        self._live = Live(
            get_renderable=self._region,
            console=self.console,
            transient=True,
            auto_refresh=False,
            vertical_overflow="crop",
        )
        self._undo_quiet = quiet_keys()
        self._live.start()
        self._paused = threading.Event()
        refreshing = (self._live, self._paused)
        threading.Thread(target=self._refresh, args=refreshing, daemon=True).start()

    def _refresh(self, live: Live, paused: threading.Event) -> None:
        while not paused.wait(1 / _REFRESHES):
            with self._lock:
                if not paused.is_set():
                    live.refresh()

    def feed(self, event: Event) -> None:
        """Shows one event."""
        with self._lock:
            self._show(event)

    def _show(self, event: Event) -> None:
        self._reply.take(event.kind, getattr(event, "text", ""))
        if isinstance(event, ModelStarted):
            self._printed = False
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)
            return
        call = self.timeline.add(event.to_dict())
        if call is not None and call.finished is not None:
            self._end_text()
            plan = plan_of(call)
            if plan:
                self._plan = plan
                self._print(_plan_text(plan, self.console.encoding))
            else:
                self._print(_finished_line(call, self.console.width))

    def _on_text(self, event: TextDelta) -> None:
        self._end_thought()
        for block in self._text.feed(terminal_text(event.text)):
            self._print_block(block)

    def _on_thinking(self, event: ThinkingDelta) -> None:
        if self._thinking_since is None:
            self._end_text()
            self._thinking_since = time.monotonic()

    def _on_relabelled(self, event: TextRelabelled) -> None:
        self._take_back("was_thought")

    def _on_retrying(self, event: Retrying) -> None:
        self._end_thought()
        self._take_back("was_void")
        self._note(
            say("retrying", reason=explain_error(event.reason), delay=duration_text(event.delay))
        )

    def _take_back(self, why: str) -> None:
        """Drops the open text; text that is printed already gets a note that it does not count."""
        self._text.finish()
        if self._printed:
            self._note(say(why))
        self._printed = False

    def _on_compacted(self, event: HistoryCompacted) -> None:
        self._note(say("compacted", detail=explain_error(event.detail)))

    def _on_done(self, event: Done) -> None:
        self._end_thought()
        self._end_text()
        if event.reason not in ("answer", "refused", "cancelled", "error"):
            detail = one_line(terminal_text(explain_error(event.detail or event.reason)))
            self._print(Text(say("stopped", detail=detail), "yellow"))
        if len(self.timeline.calls) > 1 and self._lanes:
            ink = ink_for(self.console.encoding)
            for row in draw_lanes(self.timeline, self.console.width, ink=ink):
                self._print(row)
        begin, end = self.timeline.span(time.monotonic())
        into, out = self.timeline.tokens
        # an interrupted reply, and some servers, tell no tokens: none is not 0
        tokens = say("turn_tokens", into=into, out=out) if into or out else say("turn_untold")
        calls = len(self.timeline.calls)
        line = say("turn_line", seconds=duration_text(end - begin), tokens=tokens, calls=calls)
        self._print(Text(line, "dim"))

    def _note(self, text: str) -> None:
        self._print(Text(one_line(terminal_text(text)), "yellow"))

    def _print(self, shown: RenderableType) -> None:
        if self._live is not None:
            self._live.refresh()  # what is printed now has left the live region
        self.console.print(shown)

    def _end_text(self) -> None:
        self._print_block(self._text.finish())

    def _end_thought(self) -> None:
        since, self._thinking_since = self._thinking_since, None
        if since is not None:
            took = duration_text(time.monotonic() - since)
            self._print(Text(say("thought", seconds=took), "dim italic"))

    def _print_block(self, block: str) -> None:
        if not block.strip():
            return
        self._printed = True
        if imitates_program(block):  # shown as what it is: each line behind a bar, nothing drawn
            self._print(Text(say("imitation"), "yellow"))
            for line in block.rstrip("\n").split("\n"):
                self._print(Text(f"│ {line}", "dim"))
        else:
            self._print(terminal_markdown(block))
        self._print("")

    def _region(self) -> RenderableType:
        """Returns what still moves; called from the refresh thread."""
        parts: list[RenderableType] = []
        rest = self._text.rest
        if rest.strip():
            parts.append(self._open_block(rest))
        if self._thinking_since is not None:
            parts.append(self._thinking_line(self._thinking_since))
        running = [call for call in list(self.timeline.calls) if call.finished is None]
        room = max(1, self.console.height - 8)
        parts += [_running_line(call, self.console.width) for call in running[-room:]]
        if self._plan and not all(step.state == "done" for step in self._plan):
            doing = next((step.text for step in self._plan if step.state == "doing"), "")
            head = f"{say('plan', done=done_of(self._plan))}  {terminal_text(doing)}"
            parts.append(Text(set_cell_size(head, self.console.width - 1).rstrip(), "dim"))
        if not parts:
            return Spinner("dots", style="dim")
        return Group(*parts)

    def _open_block(self, rest: str) -> RenderableType:
        if imitates_program(rest):
            return Text("\n".join(f"│ {line}" for line in rest[-_LONGEST_OPEN_BLOCK:].split("\n")))
        if len(rest) <= _LONGEST_OPEN_BLOCK and rest.count("\n") < self.console.height // 2:
            return terminal_markdown(rest)
        lines = rest[-_LONGEST_OPEN_BLOCK:].split("\n")
        return Text("\n".join(lines[-self.console.height // 2 :]))

    def _thinking_line(self, since: float) -> RenderableType:
        head = f"{say('thinking')} {duration_text(time.monotonic() - since)} "
        latest = terminal_text(" ".join("".join(self._reply.thoughts[-40:]).split()))
        room = max(0, self.console.width - cell_len(head) - 6)
        while cell_len(latest) > room:
            latest = latest[max(1, (cell_len(latest) - room) // 2) :]
        return Spinner("dots", Text(head + latest, "dim italic"))


def _call_signature(call: CallTiming, room: int) -> str:
    arguments = terminal_text(one_line(call.arguments, 400))
    text = f"{terminal_text(call.name)} {arguments if arguments != '{}' else ''}".rstrip()
    return text if cell_len(text) <= room else set_cell_size(text, max(1, room - 1)) + "…"


def _finished_line(call: CallTiming, width: int) -> Text:
    mark, style = _STYLES[call.state]
    took = duration_text(call.seconds(call.finished or 0.0)) if call.started is not None else ""
    line = Text(f"{mark} ", style).append(_call_signature(call, width - len(took) - 4))
    line.append(f" {took}", "dim")
    first = terminal_text(one_line(call.result, 200))
    if call.state == "raised":
        line.append(f" {state_text(call.state, terminal_text(call.error))}", style)
        first = terminal_text(one_line(_last_line(call.result), 200))
    if first and call.state != "done":
        line.append("\n  ").append(first, style)
    for path in call.artifacts:
        line.append("\n  → ").append(terminal_text(path), "cyan")
    return line


def _plan_text(plan: Sequence[PlanStep], encoding: str | None) -> Text:
    """Returns the plan as lines with boxes; a long one without what lies far from its middle."""
    marks = _PLAN if ink_for(encoding) is BLOCKS else _PLAIN_PLAN
    styles = {"open": "dim", "doing": "bold", "done": "green"}
    out = Text(say("plan", done=done_of(plan)), "bold")
    doing = next((n for n, step in enumerate(plan) if step.state != "done"), 0)
    first = min(max(0, doing - _PLAN_LINES // 2), max(0, len(plan) - _PLAN_LINES))
    shown = plan[first : first + _PLAN_LINES]
    if first:
        out.append("\n  …", "dim")
    for step in shown:
        out.append(f"\n  {marks[step.state]} ", styles[step.state])
        out.append(terminal_text(step.text), styles[step.state] if step.state != "done" else "")
    if first + len(shown) < len(plan):
        out.append("\n  …", "dim")
    return out


def _last_line(text: str) -> str:
    """Returns the last line of a traceback, which names the error."""
    return text.rstrip().rsplit("\n", 1)[-1]


def _running_line(call: CallTiming, width: int) -> RenderableType:
    row = Table.grid(padding=(0, 1))
    state = call.state
    if state == "running":
        note = duration_text(call.seconds(time.monotonic()))
        if call.fraction is not None:
            note += f" {call.fraction:.0%}"
        note += f" {one_line(terminal_text(call.progress), 40)}" if call.progress else ""
    else:
        note = f"{say(state)} {one_line(terminal_text(call.reason), 40)}"
    room = max(10, width - cell_len(note) - 6)
    text = Text(_call_signature(call, room)).append(f" {note}", "dim")
    row.add_row(Spinner("dots", style="cyan") if state == "running" else Text("·"), text)
    return row
