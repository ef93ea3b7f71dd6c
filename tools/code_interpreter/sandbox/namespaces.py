"""A private view of the machine: own processes, own network, and a root made for the occasion.

The root holds Python, its libraries and the system's programs, read-only; a private /proc, a few
devices, and one bounded tmpfs that carries the session folder, /tmp and /dev/shm. Files of the
user are not hidden but not there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

from qwenbelt.tools.code_interpreter.sandbox import linux

QUOTA = "/.quota"
FOLDER_FILE = "/.session"  # holds the session folder's path once it is known
_MOST_FILES = 65536
_DEVICES = ("null", "zero", "full", "random", "urandom")
_ALL = (
    linux.CLONE_NEWNS
    | linux.CLONE_NEWPID
    | linux.CLONE_NEWNET
    | linux.CLONE_NEWIPC
    | linux.CLONE_NEWUTS
    | linux.CLONE_NEWCGROUP
)
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_READ_ONLY = linux.MOUNT_ATTR_RDONLY | linux.MOUNT_ATTR_NOSUID


def enter() -> None:
    """Moves this process into new namespaces; its next child is the first of its own process tree.

    Root does it by right, anybody else by a user namespace.

    Raises:
        OSError: the system does not allow it.
    """
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        linux.unshare(_ALL)
        return
    linux.unshare(_ALL | linux.CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")


def build_root(stage: str, read_only: Iterable[str], disk: int, owner: tuple[int, int]) -> None:
    """Makes the new root on the empty folder `stage` and changes into it.

    Must run in the first process of the new process tree, because of /proc.

    Args:
        stage: an empty folder.
        read_only: files and folders that can be read; missing ones are passed over.
        disk: bytes that can be written in all.
        owner: user and group that own the writable folders.

    Raises:
        OSError: the system does not allow it.
    """
    linux.mount("none", "/", "", linux.MS_REC | linux.MS_PRIVATE)
    linux.mount("sandbox", stage, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "size=4m,mode=755")
    _quota(stage, disk, owner)
    for path in _outermost(read_only):  # after /tmp is there: Python itself may live below it
        _show(stage, path)
    _proc(stage)
    _devices(stage)
    _accounts(stage, owner)
    Path(stage + FOLDER_FILE).touch(mode=0o644)
    linux.change_root(stage)
    linux.restrict_mount("/proc", linux.MOUNT_ATTR_RDONLY)
    with contextlib.suppress(OSError):
        socket.sethostname("sandbox")
    with contextlib.suppress(OSError):
        _loopback_up()


def show_folder(path: str) -> None:
    """Makes the session folder appear under its own name; the root is read-only from then on."""
    os.makedirs(path, mode=0o755, exist_ok=True)
    linux.mount(f"{QUOTA}/work", path, "", linux.MS_BIND)
    Path(FOLDER_FILE).write_text(path, encoding="utf-8")
    linux.restrict_mount("/", linux.MOUNT_ATTR_RDONLY, below=False)


def _outermost(paths: Iterable[str]) -> list[str]:
    """Returns the paths that are there, without those below another one."""
    kept: list[str] = []
    for path in sorted({os.path.abspath(p) for p in paths}, key=len):
        inside = any(path.startswith(f"{outer}/") for outer in kept if not os.path.islink(outer))
        if os.path.lexists(path) and path != "/" and not inside:
            kept.append(path)
    return kept


def _show(stage: str, path: str) -> None:
    target = stage + path
    os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(path):
        os.makedirs(target, mode=0o755, exist_ok=True)
    else:
        Path(target).touch()
    linux.mount(path, target, "", linux.MS_BIND | linux.MS_REC)
    linux.restrict_mount(target, _READ_ONLY | linux.MOUNT_ATTR_NODEV)


def _proc(stage: str) -> None:
    os.mkdir(f"{stage}/proc")
    flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
    linux.mount("proc", f"{stage}/proc", "proc", flags)


def _quota(stage: str, disk: int, owner: tuple[int, int]) -> None:
    root = stage + QUOTA
    os.mkdir(root)
    limits = f"size={disk},nr_inodes={_MOST_FILES},mode=755"
    linux.mount("quota", root, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, limits)
    for name in ("work", "tmp", "shm", "ipc"):
        os.mkdir(f"{root}/{name}", mode=0o700)
        os.chown(f"{root}/{name}", *owner)
    for place in ("tmp", "var/tmp"):
        os.makedirs(f"{stage}/{place}", mode=0o755, exist_ok=True)
        linux.mount(f"{root}/tmp", f"{stage}/{place}", "", linux.MS_BIND)


def _devices(stage: str) -> None:
    os.makedirs(f"{stage}/dev/shm", mode=0o755)
    linux.mount(f"{stage}{QUOTA}/shm", f"{stage}/dev/shm", "", linux.MS_BIND)
    for name in _DEVICES:
        target = f"{stage}/dev/{name}"
        Path(target).touch()
        linux.mount(f"/dev/{name}", target, "", linux.MS_BIND)
        linux.restrict_mount(target, linux.MOUNT_ATTR_NOSUID)
    links = {"fd": "fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
    for name, place in links.items():
        os.symlink(f"/proc/self/{place}", f"{stage}/dev/{name}")


def _accounts(stage: str, owner: tuple[int, int]) -> None:
    etc = Path(stage, "etc")
    etc.mkdir(mode=0o755, exist_ok=True)
    user, group = owner
    texts = {
        "passwd": f"root:x:0:0:root:/:/bin/sh\nuser:x:{user}:{group}:user:/tmp:/bin/sh\n",
        "group": f"root:x:0:\nuser:x:{group}:\n",
        "hosts": "127.0.0.1 localhost sandbox\n",
        "hostname": "sandbox\n",
    }
    for name, text in texts.items():
        if not (etc / name).exists():
            (etc / name).write_text(text, encoding="ascii")


def listen(port: int) -> socket.socket:
    """Returns a socket that listens in this network; its holder can serve from outside."""
    return socket.create_server(("127.0.0.1", port), backlog=64)


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        reply = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request)
        flags = struct.unpack_from("H", reply, 16)[0] | _IFF_UP
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags))
