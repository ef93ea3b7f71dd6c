"""Kernels with files on another machine: they are copied over the kernel's own channel.

Used for Jupyter servers and containers. What comes back is not trusted: names are checked, sizes
are limited, and files are written by way of a temporary name.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import contextlib
import inspect
import os
import socket
from abc import abstractmethod
from pathlib import Path
from typing import Any

import anyio

from qwenbelt.core import dirfd
from qwenbelt.core.errors import ToolError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.tools.code_interpreter import text
from qwenbelt.tools.code_interpreter.calls import CallChannel
from qwenbelt.tools.code_interpreter.files import (
    MOST_FILES,
    Carried,
    Stamp,
    is_shown,
    snapshot,
)
from qwenbelt.tools.code_interpreter.options import SessionLimits
from qwenbelt.tools.code_interpreter.process import KernelProcess
from qwenbelt.tools.code_interpreter.remote_kernels.messages import JsonTransport
from qwenbelt.tools.code_interpreter.remote_kernels.relay import OPEN, CallRelay, sources
from qwenbelt.tools.code_interpreter.transport import Message, Transport, TransportClosed

_CHUNK = 4 * 1024 * 1024
_ASK_SECONDS = 60.0
_FAREWELL_SECONDS = 2.0

_START = """
import os, sys, tempfile
import anyio
result = tempfile.mkdtemp(prefix="qwenbelt-")
os.chdir(result)
os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
from IPython import get_ipython
session = getattr(getattr(get_ipython(), "kernel", None), "session", None)
if session is not None:  # else half an emoji loses all that is printed with it
    names = {"__name__": "text"}
    exec(texts, names)
    session.pack = names["lenient"](session.pack)
"""
_LIST = """
import json, os, stat
found = {}
for place, folders, names in os.walk(root):
    folders[:] = [n for n in folders if not n.startswith(".") and n != "__pycache__"]
    for name in names:
        path = os.path.join(place, name)
        info = os.lstat(path)
        if not name.startswith(".") and stat.S_ISREG(info.st_mode) and len(found) < most:
            key = os.path.relpath(path, root).replace(os.sep, "/")
            found[key] = [info.st_mtime_ns, info.st_size]
result = json.dumps(found)
"""
_READ = """
import base64
with open(root + "/" + name, "rb") as file:
    file.seek(offset)
    result = base64.b64encode(file.read(size)).decode()
"""
_WRITE = """
import base64, os
path = root + "/" + name
os.makedirs(os.path.dirname(path), exist_ok=True)
with open(path, "ab" if offset else "wb") as file:
    file.write(base64.b64decode(data))
info = os.stat(path)
result = str(info.st_mtime_ns) + " " + str(info.st_size)
"""
_REMOVE = """
import os
try: os.remove(root + "/" + name)
except OSError: pass
result = ""
"""
_CLEAR = """
import shutil, os
os.chdir("/")
shutil.rmtree(root, ignore_errors=True)
result = ""
"""


async def ask(transport: Transport, source: str, seconds: float, **values: Any) -> str:
    """Runs a piece of our own code in the kernel and returns the text in its `result`.

    Raises:
        ToolError: the kernel does not answer, or not as expected.
    """
    expression = f"(lambda ns: (exec({source!r}, ns), ns['result'])[1])({values!r})"
    content = {
        "code": "",
        "silent": True,
        "store_history": False,
        "user_expressions": {"r": expression},
        "allow_stdin": False,
    }
    answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    identity = ""

    def take(channel: str, message: Message) -> None:
        mine = message["parent_header"].get("msg_id") == identity
        if mine and channel == "shell" and not answer.done():
            answer.set_result(message["content"])

    before, transport.handler = transport.handler, take
    try:
        identity = await transport.request("execute_request", content)
        with anyio.fail_after(seconds):
            reply = await answer
        return str(ast.literal_eval(reply["user_expressions"]["r"]["data"]["text/plain"]))
    except (TimeoutError, TransportClosed, KeyError, TypeError, ValueError, SyntaxError):
        raise ToolError("The session's files could not be carried over.") from None
    finally:
        transport.handler = before


class DistantProcess(KernelProcess):
    """A kernel elsewhere, with a temporary folder of its own that mirrors the session folder."""

    def __init__(self, folder: Path, limits: SessionLimits) -> None:
        super().__init__({}, folder)
        self.transport: Transport | None = None
        self._limits = limits
        self._root = ""
        self._relay: CallRelay | None = None
        self._outer: dict[str, Stamp] = {}
        self._inner: dict[str, Stamp] = {}

    @abstractmethod
    async def open(self) -> Transport:
        """Starts the kernel and returns the connection to it.

        Raises:
            ToolError: it cannot be started.
        """

    async def _ask(self, source: str, **values: Any) -> str:
        if self.transport is None:
            raise ToolError("The session has ended.")
        return await ask(self.transport, source, _ASK_SECONDS, root=self._root, **values)

    async def reach_tools(self) -> CallChannel | None:
        """Opens a way to the agent's tools over the kernel's own connection, at the first need."""
        transport = self.transport
        # the channel goes by who sent a byte, which only Linux tells
        if self.calls is None and hasattr(socket, "SO_PASSCRED"):
            if not isinstance(transport, JsonTransport):
                return None
            try:
                await self._ask(OPEN, modules=sources())
            except ToolError:  # no ipykernel, or one that is too old
                return None
            self.calls = CallChannel()
            self._relay = CallRelay(transport, self.calls)
        return self.calls

    async def push(self) -> None:
        """Brings in what is new or changed outside, and removes what was removed there."""
        if not self._root:
            self._root = await self._ask(_START, texts=inspect.getsource(text))
        outside = snapshot(self.folder)
        for name, stamp in outside.items():
            if self._outer.get(name) != stamp and stamp[1] <= self._limits.input_file:
                try:
                    await self._send(name, stamp)
                except (OSError, ToolError, ValueError) as error:
                    self.troubles.append((name, str(error)))
                    self._outer[name] = stamp
        for name in self._outer.keys() - outside.keys():
            await self._ask(_REMOVE, name=name)
            self._outer.pop(name)
            self._inner.pop(name, None)

    async def _send(self, name: str, stamp: Stamp) -> None:
        with (
            dirfd.opened_folder(self.folder) as root,
            dirfd.parent_of(root, name) as (at, leaf),
            os.fdopen(dirfd.open_regular(at, leaf), "rb") as file,
        ):
            offset = 0
            while piece := file.read(_CHUNK):
                data = base64.b64encode(piece).decode()
                told = await self._ask(_WRITE, name=name, data=data, offset=offset)
                offset += len(piece)
                time, size = (int(word) for word in told.split())
                self._inner[name] = (time, size)
        self._outer[name] = stamp

    async def pull(self, carried: Carried) -> None:
        """Takes out what is new or changed inside."""
        if not self._root or self.ended.is_set():
            return
        try:
            found = _listed(await self._ask(_LIST, most=MOST_FILES))
        except (ToolError, ValueError) as error:
            self.troubles.append(("…", str(error)))
            return
        for name, stamp in found.items():
            if self._inner.get(name) == stamp or not _is_inside(name):
                continue
            try:
                await self._fetch(name, stamp, carried)
            except (OSError, ToolError, ValueError) as error:
                self.troubles.append((name, str(error)))
            self._inner[name] = stamp

    async def _fetch(self, name: str, stamp: Stamp, carried: Carried) -> None:
        if not carried.has_room(name, stamp[1]):
            raise ToolError("over the session's limit of disk")
        with (
            dirfd.opened_folder(self.folder) as root,
            dirfd.parent_of(root, name, make=True) as (at, leaf),
            dirfd.replacing_file_at(at, leaf) as out,
        ):
            for offset in range(0, stamp[1], _CHUNK):
                data = await self._ask(_READ, name=name, offset=offset, size=_CHUNK)
                dirfd.write_all(out, base64.b64decode(data)[:_CHUNK])
            facts = os.fstat(out)
        carried.took(name, stamp[1])
        self._outer[name] = (facts.st_mtime_ns, facts.st_size)

    async def farewell(self) -> None:
        """Removes the folder in the kernel's machine, if the kernel still answers."""
        if self._relay is not None:
            await self._relay.close()
        if self.calls is not None:
            self.calls.close()
        if self._root and self.transport is not None and not self.ended.is_set():
            with contextlib.suppress(ToolError):
                await ask(self.transport, _CLEAR, _FAREWELL_SECONDS, root=self._root)


def _listed(told: str) -> dict[str, Stamp]:
    """Returns the files that the kernel lists.

    Raises:
        ValueError: it is no such list.
    """
    found = loads_bounded(told)
    if not isinstance(found, dict) or len(found) > MOST_FILES:
        raise ValueError("The kernel's list of files cannot be read.")
    return {
        str(name): (int(entry[0]), int(entry[1]))
        for name, entry in found.items()
        if isinstance(entry, list) and len(entry) == 2
    }


def _is_inside(name: str) -> bool:
    parts = Path(name).parts
    return (
        is_shown(name)
        and not os.path.isabs(name)
        and ".." not in parts
        and not any(part.startswith(".") for part in parts)
    )
