"""Which process is answering in a session: the same turn is never written by two that live.

A turn that was left open belongs to the next process that asks, unless the one that opened it is
still at it. Only processes of one machine can be looked at; of another one nothing is known, and
its open turns are taken over, as those of dead ones are.
"""

from __future__ import annotations

import functools
import os
import socket
from pathlib import Path


def this_process() -> str:
    """Returns what names this process, also after its number is given to another one."""
    return f"{_machine()} {os.getpid()} {_started(os.getpid())}"


def other_at_work(owner: str) -> int:
    """Returns the number of another process of this machine that is still running, or 0.

    Args:
        owner: its `this_process()`.
    """
    machine, number, started = [*owner.split(" "), "", "", ""][:3]
    if machine != _machine() or not number.isdigit() or int(number) == os.getpid():
        return 0
    return int(number) if started and _started(int(number)) == started else 0


@functools.cache
def _machine() -> str:
    """The host, its boot and the space of its process numbers (containers have their own)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()}/{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _started(process: int) -> str:
    """When a process was started, in ticks since the boot; "" where it has ended or none says."""
    try:
        facts = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = facts.rpartition(")")[2].split()  # after the name: field 3 onwards
    return "" if fields[0] in ("Z", "X") else fields[19]
