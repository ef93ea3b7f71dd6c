"""Options of a session: its limits, and how it is isolated."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class SessionLimits:
    """What one session may use at most.

    Attributes:
        memory: bytes of memory of all its processes together.
        disk: bytes of all its files together, temporary ones and shared memory included.
        processes: processes and threads.
        cpu_seconds: CPU time of all its processes together, or None.
        background_seconds: the same between two calls, for what a cell has left running.
        open_files: open files of any one process.
        seconds: time limit of a call that does not name one.
        longest: the longest time limit that a call may ask for, in seconds.
        idle: seconds without a call after which the session ends.
        output: bytes of printed text that a result may hold.
        rich: bytes of one figure, table or other displayed value.
        artifacts: files that one call may hand out.
        input_file: bytes of one file of the conversation.
    """

    memory: int = 4096 * MEBIBYTE
    disk: int = 512 * MEBIBYTE
    processes: int = 256
    cpu_seconds: int | None = None
    background_seconds: float = 300.0
    open_files: int = 1024
    seconds: float = 60.0
    longest: float = 600.0
    idle: float = 1800.0
    output: int = 32 * 1024
    rich: int = 16 * MEBIBYTE
    artifacts: int = 50
    input_file: int = 256 * MEBIBYTE


@dataclass(frozen=True)
class SessionOptions:
    """How sessions of one tool are made.

    Attributes:
        limits: what a session may use.
        allow_unsandboxed: whether code may run where no sandbox is available.
        isolation: "namespaces" or "landlock" to insist on these layers, "container" for Docker or
            Podman, "none" to run without a sandbox (where allowed), "" for the best that works
            here.
        read_only: further files and folders that code may read.
        hosts: hosts that code may reach, by an HTTP proxy; "*" for every public one, none by
            default. See `proxy.Proxy`.
        packages: further packages for the sessions, installed by this side.
        package_options: further options for pip, for example `--index-url`.
        server: address of a Jupyter server or gateway on which the code runs, or "".
        token: that server's token.
        kernel: the kernel's name on that server, or "" for its default.
        engine: "docker", "podman" or a path, for containers; "" for the one that is found.
        image: the containers' image, with Python and ipykernel; "" for `container.IMAGE`.
    """

    limits: SessionLimits = field(default_factory=SessionLimits)
    allow_unsandboxed: bool = False
    isolation: str = ""
    read_only: tuple[Path, ...] = ()
    hosts: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    package_options: tuple[str, ...] = ()
    server: str = ""
    token: str = field(default="", repr=False)
    kernel: str = ""
    engine: str = ""
    image: str = ""
