"""Landlock: which files, TCP ports, signals and local sockets a process may use.

Source: https://docs.kernel.org/userspace-api/landlock.html (ABI 1 to 7). A process can only
restrict itself further, children inherit, and each thread is restricted on its own: it must be
done before any thread is started.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass

from qwenbelt.tools.code_interpreter.sandbox import linux

_VERSION_FLAG = 1
_RULE_PATH, _RULE_PORT = 1, 2

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << n for n in range(6))
MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM, REFER = (
    1 << n for n in range(6, 14)
)
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
CONNECT_TCP = 2

READ = EXECUTE | READ_FILE | READ_DIR
WRITE = (
    READ
    | WRITE_FILE
    | REMOVE_DIR
    | REMOVE_FILE
    | MAKE_DIR
    | MAKE_REG
    | MAKE_SOCK
    | MAKE_FIFO
    | REFER
    | TRUNCATE
)
SOCKETS = MAKE_SOCK | REMOVE_FILE | READ_DIR
DEVICE = READ_FILE | WRITE_FILE | TRUNCATE
_FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
_FS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_NET_ABI, _SCOPE_ABI = 4, 6
_ALL_NET, _ALL_SCOPES = 3, 3


@dataclass(frozen=True)
class PathRule:
    """What may be done with a file, or below a folder."""

    path: str
    rights: int


def abi() -> int:
    """Returns the version of Landlock that the kernel has, or 0."""
    try:
        return linux.syscall(
            "landlock", linux.LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG
        )
    except OSError:
        return 0


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class _PortRule(ctypes.Structure):
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


def _handled(version: int) -> int:
    return max(rights for since, rights in _FS_BY_ABI.items() if since <= version)


def restrict(rules: Iterable[PathRule], ports: Iterable[int] | None = ()) -> None:
    """Restricts this thread, and what it starts, to the rules, for good.

    Paths that are not there are passed over.

    Args:
        rules: what may be used; everything else may not.
        ports: TCP ports that may be connected to; None leaves the network alone.

    Raises:
        OSError: the kernel has no Landlock.
    """
    version = abi()
    if not version:
        raise OSError("the kernel has no Landlock")
    handled = _handled(version)
    with_net = version >= _NET_ABI and ports is not None
    ruleset = _Ruleset(
        handled, _ALL_NET if with_net else 0, _ALL_SCOPES if version >= _SCOPE_ABI else 0
    )
    size = 8 if version < _NET_ABI else 16 if version < _SCOPE_ABI else 24
    descriptor = linux.syscall(
        "landlock_create_ruleset",
        linux.LANDLOCK_CREATE_RULESET,
        ctypes.byref(ruleset),
        ctypes.c_size_t(size),
        0,
    )
    try:
        for rule in rules:
            _add_path(descriptor, rule, handled)
        for port in ports if with_net and ports is not None else ():
            _add(descriptor, _RULE_PORT, _PortRule(CONNECT_TCP, port))
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        linux.syscall("landlock_restrict_self", linux.LANDLOCK_RESTRICT_SELF, descriptor, 0)
    finally:
        os.close(descriptor)


def _add_path(ruleset: int, rule: PathRule, handled: int) -> None:
    try:
        parent = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rights = rule.rights & handled
        if not stat.S_ISDIR(os.fstat(parent).st_mode):
            rights &= _FILE_RIGHTS
        _add(ruleset, _RULE_PATH, _PathRule(rights, parent))
    finally:
        os.close(parent)


def _add(ruleset: int, kind: int, rule: ctypes.Structure) -> None:
    linux.syscall(
        "landlock_add_rule",
        linux.LANDLOCK_ADD_RULE,
        ctypes.c_int(ruleset),
        ctypes.c_int(kind),
        ctypes.byref(rule),
        0,
    )
