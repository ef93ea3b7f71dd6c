"""Limits of resources and rights dropped, in the process that will run a model's code."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Mapping

from qwenbelt.tools.code_interpreter.sandbox import linux

# user ids that no system hands out (systemd.io/UIDS-GIDS); one for each session
FIRST_USER = 0x70000000
# of the session's memory that one process may have, so that it gets a MemoryError before the whole
# session is ended for taking too much
_SHARE = 0.9


def set_limits(limits: Mapping[str, int], *, others: int = 0) -> None:
    """Sets the resource limits, hard ones, of this process and what it starts.

    Args:
        limits: `memory`, `disk` (bytes), `processes`, `open_files` and, optional, `cpu_seconds`.
        others: processes of the same user that do not belong to the session.
    """
    space = _address_space() + int(limits["memory"] * _SHARE)
    wanted = {
        resource.RLIMIT_AS: space,
        resource.RLIMIT_FSIZE: limits["disk"],
        resource.RLIMIT_NPROC: limits["processes"] + others,
        resource.RLIMIT_NOFILE: limits["open_files"],
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 64 * 1024,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    if limits.get("cpu_seconds"):
        wanted[resource.RLIMIT_CPU] = limits["cpu_seconds"]
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(kind, (value, value))


def _address_space() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 2 << 30


def drop(user: int | None) -> None:
    """Drops root, when `user` is given, and every capability, for good."""
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
    with contextlib.suppress(OSError):
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    if user is not None:
        _drop_bounding_set()
        os.setresuid(user, user, user)
    linux.clear_capabilities()


def _drop_bounding_set() -> None:
    for number in range(64):
        try:
            linux.prctl(linux.PR_CAPBSET_DROP, number)
        except OSError:
            return
