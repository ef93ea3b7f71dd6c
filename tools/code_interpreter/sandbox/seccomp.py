"""A seccomp filter that allows listed system calls and answers all others with an error.

Classic BPF as in linux/filter.h; the data it reads is `struct seccomp_data` of linux/seccomp.h.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Sequence

from qwenbelt.tools.code_interpreter.sandbox import linux, syscalls

AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10
SOCK_STREAM = 1

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_KILL, _ALLOW, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_X32 = 0x40000000
# CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_NEW_NAMESPACES = 0x7E020080
# terminal injection (TIOCSTI, TIOCLINUX), file attributes (FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR)
_REFUSED_IOCTLS = (0x5412, 0x541C, 0x40086602, 0x401C5820)
# what changes attributes of files, which Landlock does not look at
ATTRIBUTES = (
    "chmod",
    "chown",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchownat",
    "fremovexattr",
    "fsetxattr",
    "futimesat",
    "lchown",
    "lremovexattr",
    "lsetxattr",
    "removexattr",
    "setxattr",
    "utime",
    "utimensat",
    "utimes",
)
_SET_MODE_FILTER, _FLAG_TSYNC = 1, 1

Instruction = tuple[int, int, int, int]


def _load(offset: int) -> Instruction:
    return (_LOAD, 0, 0, offset)


def _argument(number: int) -> Instruction:
    return _load(_ARGUMENTS + 8 * number)


def _jump(code: int, value: int, if_true: int, if_false: int) -> Instruction:
    return (code, if_true, if_false, value)


def _give(value: int) -> Instruction:
    return (_RETURN, 0, 0, value)


def _error(number: int) -> Instruction:
    return _give(_ERRNO | number)


def _one_of(argument: int, values: Sequence[int], mask: int = 0xFFFFFFFF) -> list[Instruction]:
    """Allows the call when the argument is one of the values."""
    rule = [_argument(argument), (_AND, 0, 0, mask)]
    for value in values:
        rule += [_jump(_EQUAL, value, 0, 1), _give(_ALLOW)]
    return [*rule, _error(errno.EPERM)]


def _none_of(argument: int, values: Sequence[int]) -> list[Instruction]:
    """Allows the call unless the argument is one of the values."""
    rule = [_argument(argument)]
    for value in values:
        rule += [_jump(_EQUAL, value, 0, 1), _error(errno.EPERM)]
    return [*rule, _give(_ALLOW)]


def _no_bits(argument: int, bits: int) -> list[Instruction]:
    """Allows the call unless one of the bits is set in the argument."""
    return [_argument(argument), _jump(_ANY_BIT, bits, 0, 1), _error(errno.EPERM), _give(_ALLOW)]


# making a file with set-user-id or set-group-id
MODES = {
    "open": _no_bits(2, 0o6000),
    "openat": _no_bits(3, 0o6000),
    "creat": _no_bits(1, 0o6000),
    "mknod": _no_bits(1, 0o6000),
    "mknodat": _no_bits(2, 0o6000),
    "openat2": [_error(errno.ENOSYS)],  # its mode is in memory, which a filter cannot read
}


def _own_only(argument: int) -> list[Instruction]:
    """Allows the call for the caller itself; for others it does nothing and reports success."""
    return [_argument(argument), _jump(_EQUAL, 0, 0, 1), _give(_ALLOW), _error(0)]


# There other processes of the same user are in sight, and folders that Landlock does not hide from
# who only waits for what happens in them. Libraries set their own threads' scheduling by number and
# abort when that fails (ZeroMQ), and a filter cannot see whose number it is.
FOREIGN = {
    "sched_setaffinity": _own_only(0),
    "sched_setscheduler": _own_only(0),
    "inotify_add_watch": [_error(errno.EPERM)],
}


def _rules(families: Sequence[int], streams_only: bool) -> dict[str, list[Instruction]]:
    sockets = _one_of(0, families)
    if streams_only:
        stream = [_argument(1), (_AND, 0, 0, 0xF), _jump(_EQUAL, SOCK_STREAM, 1, 0)]
        sockets = [*stream, _error(errno.EPERM), *sockets]
    return {
        "clone": _no_bits(0, _NEW_NAMESPACES),
        "socket": sockets,
        "socketpair": _one_of(0, [AF_UNIX]),
        "ioctl": _none_of(1, _REFUSED_IOCTLS),
        # only one's own: other processes of the same user are out of reach
        "prlimit64": _one_of(0, [0]),
        "setpriority": _one_of(1, [0]),
    }


def program(
    families: Sequence[int] = (),
    *,
    streams_only: bool = False,
    machine: str | None = None,
    attributes: bool = True,
) -> list[Instruction]:
    """Returns the filter.

    Args:
        families: socket families (AF_*) that may be used.
        streams_only: whether only stream sockets may be made.
        machine: the architecture; this machine's when None.
        attributes: whether modes, owners, times and extended attributes of files can be changed;
            if not, such calls do nothing and say that they did it, since programs expect that, and
            the scheduling of others and the watching of folders are closed.

    Raises:
        LookupError: there is no table for the architecture.
    """
    numbers = syscalls.allowed(machine)
    rules = _rules(families, streams_only)
    if not attributes:
        rules.update(MODES)
        rules.update((name, [_error(0)]) for name in ATTRIBUTES)
        rules.update(FOREIGN)
    out = [
        _load(_ARCHITECTURE),
        _jump(_EQUAL, syscalls.architecture(machine), 1, 0),
        _give(_KILL),
        _load(_NUMBER),
        _jump(_AT_LEAST, _X32, 0, 1),
        _error(errno.ENOSYS),
    ]
    for name, number in numbers.items():
        rule = rules.get(name, [_give(_ALLOW)])
        out += [_jump(_EQUAL, number, 0, len(rule)), *rule]
    for number in syscalls.not_implemented(machine):
        out += [_jump(_EQUAL, number, 0, 1), _error(errno.ENOSYS)]
    out += [_jump(_AT_LEAST, syscalls.HIGHEST_KNOWN + 1, 0, 1), _error(errno.ENOSYS)]
    return [*out, _error(errno.EPERM)]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def install(instructions: Sequence[Instruction], *, all_threads: bool = False) -> None:
    """Puts the filter on this thread, or all threads of this process, for good.

    Raises:
        OSError: the kernel does not take it.
    """
    packed = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    filter_program = _Program(len(instructions), ctypes.addressof(buffer))
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    flags = _FLAG_TSYNC if all_threads else 0
    linux.seccomp(_SET_MODE_FILTER, flags, ctypes.byref(filter_program))
