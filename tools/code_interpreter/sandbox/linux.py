"""The system calls that Python's standard library lacks."""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 2, 4, 8, 32
MS_RDONLY, MS_BIND, MS_REC, MS_PRIVATE = 1, 4096, 16384, 1 << 18
MNT_DETACH = 2
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 1, 2, 4

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 1, 4, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 36, 38, 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

# the same numbers on every architecture (asm-generic)
_MOUNT_SETATTR = 442
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_CAPSET = {"x86_64": 126, "aarch64": 91}
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_KCMP = {"x86_64": 312, "aarch64": 272}
_KCMP_FILES = 2
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(what: str, number: int, *arguments: object) -> int:
    """Makes a system call by its number.

    Raises:
        OSError: it failed.
    """
    return _check(_libc.syscall(ctypes.c_long(number), *arguments), what)


def machine_number(table: dict[str, int]) -> int:
    """Returns the entry for this machine's architecture.

    Raises:
        OSError: there is none.
    """
    machine = os.uname().machine
    if machine not in table:
        raise OSError(f"no system call numbers for {machine}")
    return table[machine]


def share_descriptors(one: int, other: int) -> bool:
    """Returns whether two threads are known to have one table of descriptors; see kcmp(2)."""
    number = _KCMP.get(os.uname().machine)
    return number is not None and 0 == _libc.syscall(
        ctypes.c_long(number), one, other, _KCMP_FILES, ctypes.c_ulong(0), ctypes.c_ulong(0)
    )


def unshare(flags: int) -> None:
    """Moves this process, or its next children, into new namespaces."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """Mounts a file system."""
    _check(
        _libc.mount(
            source.encode(),
            target.encode(),
            kind.encode(),
            ctypes.c_ulong(flags),
            data.encode() or None,
        ),
        f"mount {kind or source} on {target}",
    )


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def restrict_mount(path: str, attributes: int, *, below: bool = True) -> None:
    """Adds MOUNT_ATTR_* to a mount and, if asked, all mounts below it (Linux 5.12)."""
    attr = _MountAttr(attributes, 0, 0, 0)
    syscall(
        f"mount_setattr {path}",
        _MOUNT_SETATTR,
        ctypes.c_int(_AT_FDCWD),
        path.encode(),
        ctypes.c_uint(_AT_RECURSIVE if below else 0),
        ctypes.byref(attr),
        ctypes.c_size_t(ctypes.sizeof(attr)),
    )


def change_root(new_root: str) -> None:
    """Makes `new_root` the root of this mount namespace and lets go of the old one."""
    os.chdir(new_root)
    syscall("pivot_root", machine_number(_PIVOT_ROOT), b".", b".")
    _check(_libc.umount2(b".", ctypes.c_int(MNT_DETACH)), "umount2")
    os.chdir("/")


def prctl(option: int, argument: int = 0, third: int = 0) -> int:
    """Changes an attribute of this process."""
    unused = ctypes.c_ulong(0)
    return _check(
        _libc.prctl(
            ctypes.c_int(option), ctypes.c_ulong(argument), ctypes.c_ulong(third), unused, unused
        ),
        f"prctl {option}",
    )


def seccomp(operation: int, flags: int, argument: object) -> None:
    """Sets a filter on system calls."""
    syscall(
        "seccomp",
        machine_number(_SECCOMP),
        ctypes.c_uint(operation),
        ctypes.c_uint(flags),
        argument,
    )


def clear_capabilities() -> None:
    """Drops every capability of this thread for good."""
    for number in range(64):
        try:
            prctl(PR_CAPBSET_DROP, number)
        except OSError:
            break  # past the last one, or no right to drop, which no capability needs
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()
    syscall("capset", machine_number(_CAPSET), ctypes.byref(header), ctypes.byref(data))
