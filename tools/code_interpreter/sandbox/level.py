"""Detects by trying how well model-written code can be isolated on this machine.

Run as a program it prints the answer as JSON.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass

from qwenbelt.core.secrets import clean_environment
from qwenbelt.tools.code_interpreter.view import import_path

_PROBE_SECONDS = 60.0  # a fraction of one, but on a very busy machine


@dataclass(frozen=True)
class Layers:
    """The layers that work here.

    Attributes:
        namespaces: own processes, files, network and a bounded disk.
        landlock: the version of Landlock, 0 for none.
        seccomp: whether system calls can be filtered.
        trouble: why a layer does not work, by its name.
    """

    namespaces: bool = False
    landlock: int = 0
    seccomp: bool = False
    trouble: tuple[tuple[str, str], ...] = ()

    @property
    def mode(self) -> str:
        """Is "namespaces", "landlock", or "none" when code cannot be kept apart."""
        if not self.seccomp:
            return "none"
        return "namespaces" if self.namespaces else "landlock" if self.landlock else "none"

    def __str__(self) -> str:
        parts = ["namespaces"] if self.namespaces else []
        parts += [f"Landlock {self.landlock}"] if self.landlock else []
        parts += ["seccomp"] if self.seccomp else []
        return " + ".join(parts) if self.mode != "none" else "none"


def probe() -> Layers:
    """Tries each layer in a forked child. The calling process must have a single thread."""
    from qwenbelt.tools.code_interpreter.sandbox import landlock, seccomp

    trouble = []
    works = {}
    stage = tempfile.mkdtemp(prefix="qwenbelt-probe-")
    trials: dict[str, Callable[[], None]] = {
        "namespaces": lambda: _try_namespaces(stage),
        "seccomp": lambda: seccomp.install(seccomp.program()),
        "landlock": lambda: landlock.restrict([]),
    }
    for name, trial in trials.items():
        reason = _in_child(trial)
        works[name] = not reason
        if reason:
            trouble.append((name, reason))
    os.rmdir(stage)
    version = landlock.abi() if works["landlock"] else 0
    return Layers(works["namespaces"], version, works["seccomp"], tuple(trouble))


def _in_child(trial: Callable[[], None]) -> str:
    """Runs it in a child and returns what went wrong, or ""."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        message = ""
        try:
            trial()
        except (OSError, LookupError, AttributeError) as error:
            message = str(error) or type(error).__name__
        finally:
            os.write(writer, message.encode() or b"\n")
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        answer = answers.read().decode("utf-8", "replace").strip()
    status = os.waitpid(child, 0)[1]
    return answer or (f"ended with status {status}" if status else "")


def _try_namespaces(stage: str) -> None:
    from qwenbelt.tools.code_interpreter.sandbox import namespaces

    namespaces.enter()
    owner = (os.geteuid(), os.getegid())
    reason = _in_child(lambda: namespaces.build_root(stage, ["/usr"], 1 << 20, owner))
    if reason:
        raise OSError(reason)


def layers() -> Layers:
    """Returns what works on this machine; found out once, in a process of its own."""
    if sys.platform != "linux":
        return Layers(trouble=(("system", f"{sys.platform} has none of the layers"),))
    try:
        return _probed()
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return Layers(trouble=(("probe", type(error).__name__),))


@functools.cache  # an error is not kept: what a busy machine delayed is tried again
def _probed() -> Layers:
    code = f"import sys; sys.path[:] = {import_path()!r}; from {__name__} import main; main()"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        env=clean_environment(),
        capture_output=True,
        timeout=_PROBE_SECONDS,
        check=True,
    )
    return from_json(json.loads(done.stdout))


def from_json(value: dict[str, object]) -> Layers:
    """Returns layers from what `main` printed."""
    trouble = value.get("trouble")
    pairs = tuple((str(n), str(r)) for n, r in trouble) if isinstance(trouble, list) else ()
    return Layers(
        bool(value.get("namespaces")),
        int(str(value.get("landlock", 0))),
        bool(value.get("seccomp")),
        pairs,
    )


def main() -> None:
    """Prints what works as JSON."""
    sys.stdout.write(json.dumps(asdict(probe())))


def isolation_level() -> str:
    """Returns the level in force, for example "namespaces + Landlock 6 + seccomp", or "none"."""
    return str(layers())
