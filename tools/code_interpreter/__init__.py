"""Runs the Python code that a model writes, in a kernel that keeps its state between calls.

`tool` holds the tool for agents; the rest is an engine that needs no agent: `host` (one thread
that owns all kernels), `session` (one conversation's kernel and folder), `launch` (how a kernel
process comes to be), `transport` (talking to it), `outcome` and `files` (what came of a cell).
"""

from __future__ import annotations

__all__ = ["isolation_level"]


def isolation_level() -> str:
    """Returns how code is kept apart here, for example "namespaces + Landlock 6 + seccomp".

    Where no layer works it is "docker container" if there is an engine with the image.

    "none" means that code is only run where `allow_unsandboxed` is set.
    """
    from qwenbelt.tools.code_interpreter.sandbox.level import isolation_level as found

    level = found()
    if level != "none":
        return level
    from qwenbelt.tools.code_interpreter.remote_kernels.container import container_level

    return container_level()
