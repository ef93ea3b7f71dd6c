"""From a forked process to a confined kernel: the order of the steps matters.

Surroundings (namespaces, root) are built by the session's first process. The kernel's process then
drops its descriptors, sets limits, drops rights, and restricts itself by Landlock and seccomp
while it still has a single thread; only then does ipykernel start its threads.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Any

from qwenbelt.tools.code_interpreter.sandbox import (
    landlock,
    linux,
    namespaces,
    privileges,
    seccomp,
)

Spec = Mapping[str, Any]
_DEVICES = ("null", "zero", "full", "random", "urandom")
_OOM_FIRST = "900"


def surroundings(spec: Spec) -> None:
    """Builds the root and mounts of the session; nothing to do without namespaces."""
    if spec["mode"] != "namespaces":
        return
    user = spec["user"]
    owner = (user, user) if user is not None else (os.geteuid(), os.getegid())
    namespaces.build_root(spec["stage"], spec["read_only"], spec["limits"]["disk"], owner)
    if spec["folder"]:
        namespaces.show_folder(spec["folder"])


def become_kernel(spec: Spec, ready: int, calls: int) -> None:
    """Turns this process into the session's kernel; returns when the kernel exits.

    Args:
        spec: the session's specification.
        ready: a descriptor that gets one byte when the kernel can take messages.
        calls: the descriptor of the channel to the agent's tools.
    """
    os.setsid()
    _close_descriptors(ready, calls)
    _environment(spec)
    work, ipc = _places(spec)
    os.chdir(work)
    signal.signal(signal.SIGUSR1, _move_in if spec["mode"] == "namespaces" else signal.SIG_DFL)
    if spec["mode"] != "none":
        _confine(spec)
    from qwenbelt.tools.code_interpreter.kernel import serve
    from qwenbelt.tools.code_interpreter.tools_module import open_line

    open_line(calls)

    def announce() -> None:
        if spec["mode"] == "landlock":
            # the sockets are bound; from here on there is no need for another
            families = (seccomp.AF_INET,) if spec["port"] else ()
            last = seccomp.program(families, streams_only=True, attributes=False)
            seccomp.install(last, all_threads=True)
        os.write(ready, b"1")
        os.close(ready)

    serve(f"{ipc}/k", spec["key"], spec["ports"], announce)


def _move_in(*_: object) -> None:
    """Goes to the session folder that a spare session has been given."""
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    with open(namespaces.FOLDER_FILE, encoding="utf-8") as file:
        os.chdir(file.read())


def _places(spec: Spec) -> tuple[str, str]:
    """Returns the working folder and the sockets' folder as the kernel sees them."""
    if spec["mode"] == "namespaces":
        return spec["folder"] or f"{namespaces.QUOTA}/work", f"{namespaces.QUOTA}/ipc"
    return spec["folder"], spec["ipc"]


def _close_descriptors(*keep: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    first = 3
    for number in sorted(keep):
        os.closerange(first, number)
        first = number + 1
    highest = os.sysconf("SC_OPEN_MAX")
    os.closerange(first, highest if 0 < highest <= 1 << 20 else 1 << 16)


def _environment(spec: Spec) -> None:
    import sys

    # `!python` and subprocesses are the session's own Python, with its packages
    own = os.path.dirname(sys.executable)
    searched = [own, *os.environ.get("PATH", os.defpath).split(os.pathsep)]
    if spec["paths"]:
        os.environ["PYTHONPATH"] = os.pathsep.join(spec["paths"])
    temporary = "/tmp" if spec["mode"] == "namespaces" else spec["temporary"]  # noqa: S108
    os.environ.update(
        PATH=os.pathsep.join(dict.fromkeys(searched)),
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PIP_RETRIES="0",  # there is no network; what asks for it fails at once
        HOME=temporary,
        TMPDIR=temporary,
        IPYTHONDIR=f"{temporary}/.ipython",
        MPLCONFIGDIR=f"{temporary}/.matplotlib",
        USER="user",
        LOGNAME="user",
        **spec["environment"],
    )
    sys.path[:0] = spec["paths"]


def _confine(spec: Spec) -> None:
    private = spec["mode"] == "namespaces"
    others = 0 if private or spec["user"] is not None else _processes_of_user()
    _prefer_in_memory_need()
    privileges.set_limits(spec["limits"], others=others)
    privileges.drop(spec["user"])
    if spec["landlock"]:
        ports = None if private else [spec["port"]] if spec["port"] else []
        landlock.restrict(_rules(spec, private=private), ports)
    families = [seccomp.AF_UNIX]
    if private or spec["port"]:
        families += [seccomp.AF_INET]
    if private:
        families += [seccomp.AF_INET6]
    seccomp.install(seccomp.program(families, attributes=private))
    linux.prctl(linux.PR_SET_DUMPABLE, 1)  # cleared by the change of user; /proc/self needs it


def _rules(spec: Spec, *, private: bool) -> list[landlock.PathRule]:
    read, write, device = landlock.READ, landlock.WRITE, landlock.DEVICE
    rules = [landlock.PathRule(path, read) for path in spec["read_only"]]
    rules += [landlock.PathRule(f"/dev/{name}", device) for name in _DEVICES]
    if private:
        whole = write | landlock.MAKE_SYM
        names = ("work", "tmp", "shm")
        rules += [landlock.PathRule(f"{namespaces.QUOTA}/{name}", whole) for name in names]
        rules += [landlock.PathRule(namespaces.FOLDER_FILE, read)]
        rules += [landlock.PathRule("/proc", read), landlock.PathRule("/etc", read)]
        rules += [landlock.PathRule("/", landlock.READ_DIR)]  # there is nothing in it to hide
        rules += [landlock.PathRule(f"{namespaces.QUOTA}/ipc", landlock.SOCKETS)]
        return rules
    # links could lead others, who follow them, out of the session folder
    rules += [landlock.PathRule(path, write) for path in spec["writable"]]
    rules += [landlock.PathRule(spec["ipc"], landlock.SOCKETS)]
    shown = ("cpuinfo", "meminfo", "stat", "loadavg", "uptime", "version", f"{os.getpid()}")
    rules += [landlock.PathRule(f"/proc/{name}", read) for name in shown]
    return rules


def _prefer_in_memory_need() -> None:
    """Lets the system end this process first when memory is short."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
            score.write(_OOM_FIRST)
    except OSError:
        return  # /proc is read-only in a private root, where it was set before


def _processes_of_user() -> int:
    """Returns how many threads the user has already: the limit counts them all."""
    count, user = 0, os.geteuid()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if os.stat(f"/proc/{name}").st_uid == user:
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            continue
    return count
