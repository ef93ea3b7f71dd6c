"""A process with the libraries loaded that forks a session's processes on demand.

It runs no code of a model, has a clean environment, a single thread and no ZeroMQ context. Each
datagram on its socket is a specification (JSON) with one descriptor: the session's own socket.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import time
from typing import Any

from qwenbelt.tools.code_interpreter import supervisor
from qwenbelt.tools.code_interpreter.sandbox import level, linux, namespaces

_LARGEST = 1 << 18
_CLEANUP_SECONDS = 10.0
# what a first cell would otherwise import after the fork
_PRELOAD = (
    "numpy",
    "pandas",
    "matplotlib.pyplot",
    "matplotlib_inline.backend_inline",
    "IPython.core.pylabtools",
    "IPython.core.completer",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.core.magics",
    "IPython.core.magics.execution",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "IPython.lib.pretty",
    "IPython.utils.module_paths",
    "code",
    "faulthandler",
    "ipykernel.debugger",
    "tornado.gen",
    "tornado.platform.asyncio",
    "tornado.queues",
    "encodings.utf_16_be",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "multiprocessing.util",
    "concurrent.futures.thread",
    "sqlite3",
    "statistics",
    "csv",
    "qwenbelt.tools.code_interpreter.kernel",
    "qwenbelt.tools.code_interpreter.confinement",
    "qwenbelt.tools.code_interpreter.tools_module",
    "qwenbelt.tools.code_interpreter.states.saved_state",
)
# what code written on other systems asks for
_CHINESE_FONTS = (
    "SimHei",
    "KaiTi",
    "KaiTi_GB2312",
    "FangSong",
    "FangSong_GB2312",
    "STKaiti",
    "STFangsong",
    "STSong",
    "STXihei",
    "Kaiti SC",
    "NSimSun",
    "DengXian",
    "LiSu",
    "YouYuan",
    "Microsoft JhengHei",
    "PMingLiU",
    "Hiragino Sans GB",
    "SimSun",
    "Microsoft YaHei",
    "PingFang SC",
    "PingFang HK",
    "Heiti SC",
    "Heiti TC",
    "STHeiti",
    "Songti SC",
    "Arial Unicode MS",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Noto Sans CJK TC",
    "Noto Serif SC",
    "Noto Serif CJK SC",
    "Source Han Serif SC",
    "AR PL UMing CN",
    "Droid Sans Fallback",
    "Source Han Sans CN",
    "Source Han Sans SC",
)


def main(number: int, runtime: str, font: str) -> None:
    """Serves requests on the socket with that descriptor until its other end is closed.

    Args:
        number: the descriptor.
        runtime: the sessions' folder, removed at the end: the owner may have been killed.
        font: a font with Chinese characters, or "".
    """
    owner = socket.socket(fileno=number)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the owner's terminal is the owner's
    found = level.probe()
    started = time.monotonic()
    _preload(font)
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    gc.collect()
    gc.freeze()
    threads = len(os.listdir("/proc/self/task"))
    hello = {
        "seconds": time.monotonic() - started,
        "threads": threads,
        "layers": dataclasses.asdict(found),
    }
    with contextlib.suppress(OSError):  # the owner is gone, perhaps before all was loaded
        owner.send(json.dumps(hello).encode())
        _serve(owner)
    _clean_up(runtime)


def _clean_up(runtime: str) -> None:
    """Waits for the sessions, which end when their owner is gone, and removes their folders."""
    deadline = time.monotonic() + _CLEANUP_SECONDS
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if not os.waitpid(-1, os.WNOHANG)[0]:
                time.sleep(0.01)
    shutil.rmtree(runtime, ignore_errors=True)


def _preload(font: str) -> None:
    sys.modules["debugpy"] = None  # type: ignore[assignment]  # half of a kernel's start-up
    for name in _PRELOAD:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with contextlib.suppress(ImportError):
        _warm_up(font)
    _warm_up_shell()


def _warm_up_shell() -> None:
    """Makes a shell and runs cells in it, for what is compiled and looked up at first use."""
    from IPython.core.interactiveshell import InteractiveShell
    from matplotlib.backends.registry import backend_registry
    from traitlets.config import Config

    from qwenbelt.tools.code_interpreter.kernel import App, settings

    registry: Any = backend_registry
    registry.is_valid_backend("agg")
    app = App(config=Config(settings()))
    app.session.msg("status", {"execution_state": "idle"})
    hooks = sys.displayhook, sys.excepthook
    shell_class: Any = InteractiveShell
    shell = shell_class(config=Config(settings()), profile_dir=app.profile_dir)
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        for cell in (
            "1 + 1",
            "print('x')",
            "1 / 0",
            "x = (",
            "%pwd",
            "await __import__('asyncio').sleep(0)",
        ):
            shell.run_cell(cell, store_history=False)
    sys.displayhook, sys.excepthook = hooks
    shell_class.clear_instance()


def _warm_up(font: str) -> None:
    """Does once what every first figure and table does: fonts, formats, lookups."""
    import io

    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    if font:
        with contextlib.suppress(OSError, RuntimeError):
            _use_font(font)
    figure, axes = plt.subplots()
    axes.plot([1, 2], label="a")
    axes.set_title("0")
    axes.legend()
    figure.savefig(io.BytesIO(), format="png", bbox_inches="tight")
    plt.close("all")
    with contextlib.suppress(ImportError):
        import pandas as pd

        frame = pd.DataFrame({"a": [1.5, 2], "b": ["x", "y"]})
        repr(frame)
        frame.to_html()
        frame.plot(y="a")
        plt.savefig(io.BytesIO(), format="png", bbox_inches="tight")
        plt.close("all")
        pd.read_csv(io.StringIO("a,b\n1,2\n"))


def _use_font(path: str) -> None:
    """Lets Chinese be drawn by the font, also where code asks for one that is not here."""
    from matplotlib import font_manager

    fonts: Any = font_manager.fontManager
    fonts.addfont(path)
    name = font_manager.FontProperties(fname=path).get_name()
    entry = next(entry for entry in fonts.ttflist if entry.name == name)
    there = {entry.name for entry in fonts.ttflist}
    fonts.ttflist += [dataclasses.replace(entry, name=n) for n in _CHINESE_FONTS if n not in there]
    # as the last font of every search: styles, seaborn and code itself set the families again
    found = fonts._find_fonts_by_props

    @functools.wraps(found)
    def with_chinese(prop: Any, *args: Any, **kwargs: Any) -> list[Any]:
        paths: list[Any] = found(prop, *args, **kwargs)
        wanted = args[0] if args else kwargs.get("fontext", "ttf")
        return paths if wanted == "afm" or path in map(str, paths) else [*paths, entry.fname]

    fonts._find_fonts_by_props = with_chinese


def _serve(owner: socket.socket) -> None:
    wakeup, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    while True:
        ready, _, _ = select.select([owner.fileno(), wakeup], [], [])
        if wakeup in ready:
            os.read(wakeup, 4096)
            _reap()
        if owner.fileno() in ready:
            request, numbers, _, _ = socket.recv_fds(owner, _LARGEST, 2)
            if not request:
                return
            with socket.socket(fileno=numbers[0]) as session, socket.socket(fileno=numbers[1]) as c:
                _fork(json.loads(request), session, c.fileno())


def _fork(spec: dict[str, Any], session: socket.socket, calls: int) -> None:
    try:
        if os.fork() == 0:
            _become_session(spec, session, calls)
    except OSError as error:  # there is no room for a process; there may be later
        _fail(session, error)


def _fail(session: socket.socket, error: BaseException) -> None:
    with contextlib.suppress(OSError):
        session.send(json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode())


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become_session(spec: dict[str, Any], session: socket.socket, calls: int) -> None:
    """In the forked child: ends as the session's first process."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _keep_only(session.fileno(), calls)
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
            score.write("900")
        if spec["mode"] == "namespaces":
            namespaces.enter()
            if os.fork():
                os._exit(0)
        supervisor.run(spec, session, calls)
        code = 0
    except BaseException as error:  # whatever happens, this copy must not continue as the zygote
        _fail(session, error)
    finally:
        os._exit(code)


def _keep_only(*numbers: int) -> None:
    first = 3
    for number in sorted(numbers):
        os.closerange(first, number)
        first = number + 1
    highest = os.sysconf("SC_OPEN_MAX")
    os.closerange(first, highest if 0 < highest <= 1 << 20 else 1 << 16)
