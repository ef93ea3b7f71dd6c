"""The kernel itself: ipykernel, made to keep its output small and to heed interrupts.

Runs in the forked process of a session, after it has been restricted. Whatever is limited here is
limited again, coarsely, on the other side: code in this process can change this module.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import subprocess
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import zmq
from ipykernel.displayhook import ZMQShellDisplayHook
from ipykernel.iostream import IOPubThread, OutStream
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from ipykernel.zmqshell import ZMQDisplayPublisher, ZMQInteractiveShell
from traitlets import Float, Type

from qwenbelt.tools.code_interpreter.inside import asyncio_run, figures
from qwenbelt.tools.code_interpreter.inside.plotly_figures import drawn
from qwenbelt.tools.code_interpreter.inside.streams import Bytes, Surroundings
from qwenbelt.tools.code_interpreter.inside.table_errors import columns_told
from qwenbelt.tools.code_interpreter.inside.usual_imports import UsualImports
from qwenbelt.tools.code_interpreter.text import lenient, sendable

_HEAD = 256 * 1024  # characters of a cell's output that are sent as they come
_TAIL = 64 * 1024  # and of its end, kept until the cell is over
_LARGEST_TEXT = 256 * 1024
_LARGEST_RICH = 24 * 1024 * 1024
_MOST_DISPLAYS = 500  # values that one cell displays as they come; after them only its last
_DISPLAYED = 96 * 1024 * 1024  # and their characters
_CHUNK = 65536
_EXITED = "[sys.exit() ended the cell; the session goes on]\n"


class CappedStream(OutStream):  # type: ignore[misc]
    """A standard stream that sends the head and the tail of a cell's output."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._room = _HEAD
        self._tail: deque[str] = deque()
        self._tail_size = 0
        self._dropped = 0
        self._unsent = False
        super().__init__(*args, **kwargs)

    def flush(self) -> None:
        """Waits until what was written is on its way; at once when nothing was."""
        if self._unsent:
            self._unsent = False
            super().flush()

    @property
    def buffer(self) -> Bytes:
        """The bytes below it, for scripts that wrap them."""
        return Bytes(self.write, self.flush)

    def detach(self) -> Any:
        """Gives the bytes below it, and stays as it is."""
        return self.buffer

    def reconfigure(self, **options: Any) -> None:
        """Stays as it is: UTF-8, in which everything can be written."""

    def close(self) -> None:
        """Stays open: what comes later is still to be seen."""
        self.flush()

    def write(self, string: str) -> int | None:
        """Takes text; a forked child's goes through the pipe that its parent reads."""
        if not isinstance(string, str):
            raise TypeError(f"write() argument must be str, not {type(string)}")
        if os.getpid() != self._master_pid:
            number = getattr(self, "_original_stdstream_fd", None)
            if number is not None:
                os.write(number, string.encode("utf-8", "replace"))
            return len(string)
        string = sendable(string)
        with self._buffer_lock:
            sent, rest = string[: self._room], string[self._room :]
            self._room -= len(sent)
            if rest:
                self._keep(rest)
        if sent:
            self._send(sent)
        return len(string)

    def _send(self, text: str) -> None:
        self._unsent = True
        super().write(text)

    def _keep(self, text: str) -> None:
        text = text[-_TAIL:] if len(text) > _TAIL else text
        self._tail.append(text)
        self._tail_size += len(text)
        while self._tail_size - len(self._tail[0]) >= _TAIL:
            gone = self._tail.popleft()
            self._tail_size -= len(gone)
            self._dropped += len(gone)

    def end_cell(self) -> None:
        """Sends the tail and starts counting again."""
        with self._buffer_lock:
            tail = "".join(self._tail)
            dropped = self._dropped
            self._tail.clear()
            self._room, self._tail_size, self._dropped = _HEAD, 0, 0
        if dropped:
            self._send(f"\n… [{dropped} characters left out] …\n")
        if tail:
            self._send(tail)


class OneProcessIOPub(IOPubThread):  # type: ignore[misc]
    """Sends only from the process that made it: a forked child must not touch its sockets."""

    def _really_send(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        if self._is_master_process():
            super()._really_send(msg, *args, **kwargs)


def _bounded(data: dict[str, Any]) -> dict[str, Any]:
    """Returns displayed data without parts that are too large, and shortened text."""
    kept = {}
    for mime, value in drawn(data).items():
        size = len(value) if isinstance(value, (str, bytes)) else 0
        if mime in ("text/plain", "text/markdown") and size > _LARGEST_TEXT:
            left = size - _LARGEST_TEXT
            kept[mime] = f"{value[:_LARGEST_TEXT]}\n… [{left} characters left out] …"
        elif size <= _LARGEST_RICH:
            kept[mime] = value
    return kept


class BoundedDisplayHook(ZMQShellDisplayHook):  # type: ignore[misc]
    """Shows the last expression's value, not more of it than can be used."""

    def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:
        """Adds the value's representations to the message."""
        super().write_format_data(_bounded(format_dict), md_dict)


class BoundedDisplay(ZMQDisplayPublisher):  # type: ignore[misc]
    """Publishes displayed values, not more of them than can be used."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._begin()

    def _begin(self) -> None:
        self._places, self._room, self._dropped = _MOST_DISPLAYS, _DISPLAYED, 0
        self._last: Callable[[], None] | None = None

    def publish(self, data: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        """Sends one displayed value, or keeps it in case it is the last of too many."""
        data = _bounded(data)
        self._places -= 1
        self._room -= sum(len(value) for value in data.values() if isinstance(value, (str, bytes)))
        send = functools.partial(super().publish, data, *args, **kwargs)
        if self._places >= 0 and self._room >= 0:
            send()
        else:
            self._dropped += self._last is not None
            self._last = send

    def end_cell(self) -> None:
        """Sends the last value, if it was kept, and starts counting again."""
        last, dropped = self._last, self._dropped
        self._begin()
        if dropped:
            sys.stdout.write(f"\n… [{dropped} displayed values left out] …\n")
        if last is not None:
            last()


class Shell(ZMQInteractiveShell):  # type: ignore[misc]
    """IPython's shell without terminals: `!command` runs in a plain pipe."""

    displayhook_class = Type(BoundedDisplayHook)
    display_pub_class = Type(BoundedDisplay)

    def system(self, cmd: str) -> None:
        """Runs a shell command and prints what it prints, as it comes."""
        command = self.var_expand(cmd, depth=1)
        with subprocess.Popen(  # noqa: S602  a shell is what is asked for
            command,
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            output = process.stdout
            try:
                while output is not None and (piece := os.read(output.fileno(), _CHUNK)):
                    sys.stdout.write(piece.decode("utf-8", "replace"))
            except BaseException:  # an interrupt, too, ends the command
                process.kill()
                raise
        self.user_ns["_exit_code"] = process.returncode
        if process.returncode:
            sys.stdout.write(f"[exit code {process.returncode}]\n")

    system_piped = system_raw = system

    def ask_exit(self) -> None:
        """Goes on: `exit()` ends a model's script, not the conversation's session."""

    def _showtraceback(self, etype: Any, evalue: Any, stb: list[str]) -> None:
        if etype is SystemExit:  # without the words about a prompt that is not here
            if _ended_well(evalue):
                return
            stb = [f"SystemExit: {evalue}"]
        if told := columns_told(evalue):
            stb = [*stb, told]
        limit = _LARGEST_TEXT // max(1, len(stb))
        super()._showtraceback(etype, _short(evalue), [line[:limit] for line in stb])


def _ended_well(error: Any) -> bool:
    return isinstance(error, SystemExit) and error.code in (None, 0)


def _short(error: Any) -> Any:
    text = str(error)
    return error if len(text) <= _LARGEST_TEXT else Exception(text[:_LARGEST_TEXT])


class InterruptibleKernel(IPythonKernel):  # type: ignore[misc]
    """IPython's kernel with an interrupt that also reaches waiting coroutines."""

    shell_class = Type(Shell)
    _execute_sleep = Float(0.0)  # before each reply; the owner waits for the idle status after it

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._surroundings = Surroundings()

    async def do_execute(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Runs a cell."""
        own = os.getpid()
        self._surroundings.begin()
        try:
            reply: dict[str, Any] = await super().do_execute(*args, **kwargs)
        finally:
            if os.getpid() != own:  # a fork that the code did not end: a script would end here
                os._exit(0)
            self._surroundings.end()
            for output in (self.shell.display_pub, sys.stdout, sys.stderr):
                if isinstance(output, (BoundedDisplay, CappedStream)):
                    output.end_cell()
        if reply.get("ename") == "SystemExit" and str(reply.get("evalue")) in ("None", "", "0"):
            sys.stdout.write(_EXITED)
            reply = {**reply, "status": "ok"}
        if "traceback" in reply:
            reply["traceback"] = []
            reply["evalue"] = str(reply.get("evalue", ""))[:1000]
        return reply

    @contextlib.contextmanager
    def _cancel_on_sigint(self, future: asyncio.Future[Any]) -> Iterator[None]:
        # ipykernel's own sets a future in a way that does not wake a waiting loop
        loop = asyncio.get_running_loop()

        def cancel(*_: Any) -> None:
            loop.call_soon_threadsafe(future.cancel)

        before = signal.signal(signal.SIGINT, cancel)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


class App(IPKernelApp):  # type: ignore[misc]
    """IPython's kernel application, without what a session does not need."""

    def init_heartbeat(self) -> None:
        """Starts none: the kernel's end is seen by its supervisor."""

    def init_iopub(self, context: Any) -> None:
        """Publishes over the socket without a second, TCP, way in for children."""
        self.iopub_socket = context.socket(zmq.XPUB)
        self.iopub_socket.linger = 1000
        self._bind_socket(self.iopub_socket, self.iopub_port)
        self.configure_tornado_logger()
        self.iopub_thread = OneProcessIOPub(self.iopub_socket, pipe=False, session=self.session)
        self.iopub_thread.start()
        self.iopub_socket = self.iopub_thread.background_socket

    def init_connection_file(self) -> None:
        """Reads none: the connection is in the attributes, its key in no file."""

    def write_connection_file(self, **kwargs: Any) -> None:
        """Writes none."""

    def init_crash_handler(self) -> None:
        """Keeps Python's own."""

    def init_path(self) -> None:
        """Lets the session folder's modules be imported."""
        if "" not in sys.path:
            sys.path.insert(0, "")


_SETTINGS: dict[str, dict[str, Any]] = {
    "IPKernelApp": {
        "kernel_class": f"{__name__}.InterruptibleKernel",
        "outstream_class": f"{__name__}.CappedStream",
        "matplotlib": "inline",
    },
    "InteractiveShell": {"colors": "NoColor", "xmode": "Plain", "autocall": 0, "enable_tip": False},
    "HistoryManager": {"enabled": False},
}


def settings() -> dict[str, Any]:
    """Returns the configuration of a session's kernel."""
    return {name: dict(values) for name, values in _SETTINGS.items()}


def serve(place: str, key: str, ports: dict[str, int], ready: Callable[[], None]) -> None:
    """Runs a kernel on local sockets named `place`-1 and so on, until it is asked to exit.

    Args:
        place: path and beginning of the sockets' names.
        key: signs the messages.
        ports: the channels' numbers, as in a connection file.
        ready: called when the kernel can take messages.
    """
    from traitlets.config import Config

    os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"  # which `drawn` makes a page of
    figures.install()
    # of fonts that are not here there is a line for each look; the mend is made all the same
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="To exit: use 'exit'")
    # without the line of code: a model writes a cell in one line, and would read it a second time
    warnings.formatwarning = lambda message, category, *_, **__: f"{category.__name__}: {message}\n"
    asyncio_run.install()
    app = App.instance(config=Config(settings()), transport="ipc", ip=place, **ports)
    app.session.key = key.encode("ascii")
    app.session.pack = lenient(app.session.pack)
    app.initialize([])
    app.shell.ast_transformers.append(UsualImports(lambda: app.shell.user_ns))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ready()
    while True:
        with contextlib.suppress(KeyboardInterrupt):  # an interrupt that came between two cells
            app.start()
            return
