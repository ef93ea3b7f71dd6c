"""The sandbox holds: every attempt that works without it fails in it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.core.errors import ToolError
from qwenbelt.tools.base import ToolContext, result_items, result_text
from qwenbelt.tools.code_interpreter.host import kernel_host
from qwenbelt.tools.code_interpreter.sandbox.level import layers
from qwenbelt.tools.code_interpreter.tool import CodeInterpreter
from tests.code_interpreter.escapes import ATTEMPTS, Attempt

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")
DISK_MB, MEMORY_MB, PROCESSES = 24, 512, 48
LIMITS = {"disk": DISK_MB << 20, "memory": MEMORY_MB << 20, "processes": PROCESSES, "seconds": 20}
WORD, KEY = "canary-" + uuid.uuid4().hex, "sk-" + uuid.uuid4().hex
GOT = "escaped-" + uuid.uuid4().hex


class World:
    """What hostile code is after: files, processes, sockets and memory outside its session."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.outside = base / "outside"
        self.private = base / "private"
        self.private.mkdir()
        self.secret = self.private / "secret.txt"
        self.secret.write_text(WORD, encoding="utf-8")
        self.daemon = str(9000 + int(time.time()) % 1000)
        environment = {**os.environ, "DASHSCOPE_API_KEY": KEY}
        sleep = ["/bin/sleep", "600"]
        self.victim = subprocess.Popen(sleep, env=environment, cwd=self.private)
        self.prey: subprocess.Popen[bytes] | None = None
        self.sockets: list[socket.socket] = []
        self._listen()
        self._share_memory()
        self.other = CodeInterpreter({"allow_unsandboxed": True, "session": "the other"})
        self.other_folder = base / "other"
        self.other_folder.mkdir()
        context = ToolContext(session="the other", folder=self.other_folder)
        self.other.call({"code": f"open('mine.txt', 'w').write('{WORD}')"}, context=context)
        self.reset()

    def _listen(self) -> None:
        self.tcp = self._server(socket.AF_INET, ("0.0.0.0", 0)).getsockname()[1]
        self.tcp6 = 0
        with contextlib.suppress(OSError):
            self.tcp6 = self._server(socket.AF_INET6, ("::1", 0)).getsockname()[1]
        self.local = str(self.base / "local.socket")
        self._server(socket.AF_UNIX, self.local)
        self.abstract = "qwenbelt-" + uuid.uuid4().hex
        self._server(socket.AF_UNIX, "\0" + self.abstract)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.udp.setblocking(False)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.free = free.getsockname()[1]
        self.address = ""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            with contextlib.suppress(OSError):  # no packet is sent
                probe.connect(("192.0.2.1", 9))
                self.address = probe.getsockname()[0]

    def _server(self, family: int, address: Any) -> socket.socket:
        server = socket.socket(family, socket.SOCK_STREAM)
        server.bind(address)
        server.listen(64)
        self.sockets.append(server)
        return server

    def _share_memory(self) -> None:
        libc = ctypes.CDLL(None)
        libc.shmat.restype = ctypes.c_void_p
        self.shm_id = libc.shmget(0, 4096, 0o1666)
        place = libc.shmat(self.shm_id, None, 0)
        ctypes.memmove(place, WORD.encode(), len(WORD))
        self.posix_shm = Path("/dev/shm", f"qwenbelt-{uuid.uuid4().hex}")
        self.posix_shm.write_text(WORD, encoding="utf-8")

    def reset(self) -> None:
        """Puts everything back as it was before an attempt."""
        shutil.rmtree(self.outside, ignore_errors=True)
        for left in Path("/dev/shm").glob("fill-*"):
            left.unlink()
        self.outside.mkdir()
        kept = self.outside / "kept.txt"
        kept.write_text("kept", encoding="utf-8")
        os.utime(kept, (1000, 1000))
        kept.chmod(0o600)
        (self.other_folder / "planted.txt").unlink(missing_ok=True)
        if self.prey is None or self.prey.poll() is not None:
            self.prey = subprocess.Popen(["/bin/sleep", "600"], start_new_session=True)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.udp.recv(100)

    def facts(self) -> dict[str, Any]:
        """What the attempts get to know."""
        assert self.prey is not None
        session = next(s for k, s in kernel_host().sessions.items() if k[0] == "the other")
        assert session._kernel is not None
        return {
            "word": WORD,
            "got": GOT,
            "key": KEY,
            "secret": str(self.secret),
            "outside": str(self.outside),
            "other_folder": str(self.other_folder),
            "other_file": str(self.other_folder / "mine.txt"),
            "other_kernel": self._other_kernel(session._kernel.process.connection["ip"]),
            "victim": self.victim.pid,
            "prey": self.prey.pid,
            "host": os.getpid(),
            "daemon": self.daemon,
            "many": PROCESSES * 3,
            "tcp": self.tcp,
            "tcp6": self.tcp6,
            "address": self.address,
            "udp": self.udp.getsockname()[1],
            "free": self.free,
            "local": self.local,
            "abstract": self.abstract,
            "shm_id": self.shm_id,
            "posix_shm": str(self.posix_shm),
            "cgroup": str(self._cgroup() or ""),
            "disk_mb": DISK_MB,
            "memory_mb": MEMORY_MB,
        }

    @staticmethod
    def _other_kernel(ip: str) -> str:
        return ip.replace("/proc/self/", f"/proc/{os.getpid()}/") + "-1"

    @staticmethod
    def _cgroup() -> Path | None:
        for place in ("pids", "unified", "."):
            folder = Path("/sys/fs/cgroup", place, "qwenbelt-test")
            with contextlib.suppress(OSError):
                folder.mkdir()
                folder.rmdir()
                return folder
        return None

    def close(self) -> None:
        """Ends and removes everything."""
        self.other.close()
        for process in (self.victim, self.prey):
            if process is not None:
                process.kill()
                process.wait()
        for server in [*self.sockets, self.udp]:
            server.close()
        ctypes.CDLL(None).shmctl(self.shm_id, 0, None)
        self.posix_shm.unlink(missing_ok=True)


def _daemons(world: World) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            line = Path("/proc", name, "cmdline").read_bytes() if name.isdigit() else b""
            if line == b"sleep\0" + world.daemon.encode() + b"\0":
                found.append(int(name))
    return found


def _end_daemons(world: World) -> list[int]:
    """Ends the daemons that are left and returns them."""
    alive = _daemons(world)
    for process in alive:
        os.kill(process, 9)
    return alive


def _reachable(world: World) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", world.free), 1):
        return True
    return False


def _received(world: World) -> bool:
    time.sleep(0.05)
    with contextlib.suppress(BlockingIOError):
        return bool(world.udp.recv(100))
    return False


def _readable(folder: Path) -> bool:
    """Whether a program on this side that just opens the file reads the secret."""
    with contextlib.suppress(OSError):
        return WORD in (folder / "report.txt").read_text(encoding="utf-8")
    return False


def _kept_changed(world: World) -> bool:
    kept = world.outside / "kept.txt"
    return not kept.exists() or kept.read_text(encoding="utf-8") != "kept"


def _attributes_changed(world: World) -> bool:
    info = (world.outside / "kept.txt").stat()
    return (info.st_mode & 0o777, info.st_mtime, info.st_uid) != (0o600, 1000, os.geteuid())


def _set_user_id(folder: Path) -> bool:
    return any(path.lstat().st_mode & 0o4000 for path in folder.iterdir())


def _many_processes(name: str) -> bool:
    """Whether more processes than allowed came of the test's warm process."""
    count = 0
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit():
                line = Path("/proc", entry, "cmdline").read_bytes()
                count += b"code_interpreter.zygote" in line
    return count > PROCESSES + 40


EFFECTS: dict[str, Callable[[World, Path], bool]] = {
    "planted in the other session": lambda w, f: (w.other_folder / "planted.txt").exists(),
    "a new file outside": lambda w, f: (w.outside / "new.txt").exists(),
    "the file outside has changed": lambda w, f: _kept_changed(w),
    "the file outside has other attributes": lambda w, f: _attributes_changed(w),
    "the file outside has an extended attribute": lambda w, f: bool(
        os.listxattr(w.outside / "kept.txt")
    ),
    "the secret can be read in the session folder": lambda w, f: _readable(f),
    "the secret's folder is in the session folder": lambda w, f: (f / "results").exists(),
    "a set-user-id file in the session folder": lambda w, f: _set_user_id(f),
    "the prey is dead": lambda w, f: w.prey is not None and w.prey.poll() is not None,
    "a datagram has come": lambda w, f: _received(w),
    "the session's port can be reached": lambda w, f: _reachable(w),
    "more processes than allowed": lambda w, f: _many_processes("zygote"),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    made.close()


class Sessions:
    """Sessions of one isolation: one that attempts share, and new ones for those that spoil it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shared: dict[str, CodeInterpreter] = {}

    def run(self, world: World, attempt: Attempt, isolation: str) -> tuple[bool, str]:
        """Runs an attempt; says whether it worked, and what was printed."""
        world.reset()
        tool = self._tool(isolation, attempt.alone)
        folder = self.folder / tool.session
        folder.mkdir(exist_ok=True)
        context = ToolContext(session=tool.session, folder=folder)
        text = ""
        try:
            code = f"W = {world.facts()!r}\n{attempt.code}"
            with contextlib.suppress(ToolError):
                text = result_text(result_items(tool.call({"code": code}, context=context)))
            works = GOT in text
            if attempt.effect in EFFECTS:
                works = works or EFFECTS[attempt.effect](world, folder)
        finally:
            if attempt.alone:
                self._end(tool)
        if attempt.effect == "a daemon lives on":
            works = works or bool(_end_daemons(world))
        return works, text

    def _tool(self, isolation: str, alone: bool) -> CodeInterpreter:
        cfg = {"allow_unsandboxed": isolation == "none", "isolation": isolation, "limits": LIMITS}
        if alone:
            return CodeInterpreter(cfg)
        if isolation not in self._shared:
            self._shared[isolation] = CodeInterpreter(cfg)
        return self._shared[isolation]

    @staticmethod
    def _end(tool: CodeInterpreter) -> None:
        host = kernel_host()
        host.submit(host.end(tool.session)).result(10)

    def close(self) -> None:
        """Ends the shared sessions."""
        for tool in self._shared.values():
            self._end(tool)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    made = Sessions(tmp_path_factory.mktemp("sessions"))
    yield made
    made.close()


def _not_applicable(world: World, attempt: Attempt) -> str:
    """Why an attempt cannot work on this machine even without a sandbox, or ""."""
    if attempt.needs and (attempt.needs != "root" or os.geteuid() != 0):
        return f"needs {attempt.needs}"
    facts = world.facts()
    if "W['address']" in attempt.code and not facts["address"]:
        return "the machine has no network"
    if "W['tcp6']" in attempt.code and not facts["tcp6"]:
        return "the machine has no IPv6"
    if "AF_ALG" in attempt.code and not _has_family(socket.AF_ALG):
        return "the kernel has no such sockets"
    if "W['cgroup']" in attempt.code and not facts["cgroup"]:
        return "control groups cannot be made here"
    return ""


def _has_family(family: int) -> bool:
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_SEQPACKET):
        return True
    return False


def works_in_a_stock_kernel(world: World, attempt: Attempt) -> bool:
    """Runs an attempt in an ordinary Jupyter kernel: ours ends daemons even without a sandbox."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3")
    try:
        client.execute_interactive(f"W = {world.facts()!r}\n{attempt.code}", timeout=20)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
    return bool(_end_daemons(world))


NAMES = [attempt.name for attempt in ATTEMPTS]


def test_there_are_enough_different_attempts():
    assert len(set(NAMES)) == len(NAMES) >= 60


@pytest.mark.slow
@pytest.mark.parametrize("attempt", ATTEMPTS, ids=NAMES)
def test_it_works_without_a_sandbox(world, sessions, attempt):
    reason = _not_applicable(world, attempt)
    if reason:
        pytest.skip(f"not applicable: {reason}")
    if attempt.effect == "a daemon lives on":
        assert works_in_a_stock_kernel(world, attempt)
        return
    works, text = sessions.run(world, attempt, "none")
    assert works, text


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=NAMES)
def test_namespaces_stop_it(world, sessions, attempt):
    if not layers().namespaces:
        pytest.skip(f"no namespaces here: {dict(layers().trouble).get('namespaces')}")
    works, text = sessions.run(world, attempt, "namespaces")
    assert not works, text


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=NAMES)
def test_landlock_and_seccomp_alone_stop_it(world, sessions, attempt):
    if not layers().landlock:
        pytest.skip(f"no Landlock here: {dict(layers().trouble).get('landlock')}")
    if attempt.open_without_namespaces:
        pytest.skip(f"open without namespaces: {attempt.open_without_namespaces}")
    works, text = sessions.run(world, attempt, "landlock")
    assert not works, text
