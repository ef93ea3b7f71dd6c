"""Runs inside a container: a kernel, and its messages as lines on the standard streams.

It is given to the container's Python as text, so it imports nothing of this package. Lines that
begin with "!" are news ("!ready", "!signal 9") or orders ("!interrupt"); all others are messages in
Jupyter's JSON form. As the container's first process it ends everything when it ends, and it ends
when its standard input does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from typing import Any

import zmq
from jupyter_client.session import Session

PORTS = {"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5}
SETTINGS = (
    "--InteractiveShell.colors=NoColor",
    "--HistoryManager.enabled=False",
    "--IPKernelApp.matplotlib=inline",
    "--quiet",
)
TICK = 100  # milliseconds between two looks at the processes


class Bridge:
    """One kernel, the sockets to it and the two streams."""

    def __init__(self) -> None:
        self.out = os.dup(1)
        os.dup2(2, 1)  # only our own lines go to standard output
        self.place = tempfile.mkdtemp(prefix="kernel-")
        key = os.urandom(16).hex()
        self.wire = Session(key=key.encode("ascii"))
        connection = {
            "transport": "ipc",
            "ip": f"{self.place}/k",
            "key": key,
            "signature_scheme": "hmac-sha256",
            **PORTS,
        }
        file = os.path.join(self.place, "connection.json")
        with open(file, "w", encoding="utf-8") as out:
            json.dump(connection, out)
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", file, *SETTINGS]
        null = subprocess.DEVNULL
        self.kernel = subprocess.Popen(
            command, stdin=null, stdout=null, stderr=null, start_new_session=True
        )
        self.context = zmq.Context()
        self.shell = self.socket(zmq.DEALER, 1)
        self.iopub = self.socket(zmq.SUB, 2)
        self.stdin = self.socket(zmq.DEALER, 3)
        self.rest = b""

    def socket(self, kind: int, number: int) -> Any:
        """Returns a socket that is connected to the kernel's."""
        made = self.context.socket(kind)
        made.linger = 0
        if kind == zmq.SUB:
            made.setsockopt(zmq.SUBSCRIBE, b"")
        made.connect(f"ipc://{self.place}/k-{number}")
        return made

    def say(self, line: str) -> None:
        """Writes one line."""
        left = memoryview(line.encode("utf-8", "replace") + b"\n")
        while left:
            left = left[os.write(self.out, left) :]

    def run(self) -> None:
        """Passes messages on until either side ends."""
        self.say("!ready")
        poller = zmq.Poller()
        channels = (("iopub", self.iopub), ("shell", self.shell), ("stdin", self.stdin))
        for source in (0, *(socket for _, socket in channels)):
            poller.register(source, zmq.POLLIN)
        while not self.ended():
            ready = dict(poller.poll(TICK))
            for name, source in channels:
                if source in ready:
                    self.pass_out(name, source)
            if 0 in ready and not self.take_in():
                return

    def ended(self) -> bool:
        """Reaps ended processes; returns whether the kernel was one of them."""
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if process == self.kernel.pid:
                signaled = os.WIFSIGNALED(status)
                code = os.WTERMSIG(status) if signaled else os.WEXITSTATUS(status)
                self.say(f"!{'signal' if signaled else 'exit code'} {code}")
                return True
            if process == 0:
                return False

    def pass_out(self, name: str, source: Any) -> None:
        """Passes one message of the kernel on."""
        _, parts = self.wire.feed_identities(source.recv_multipart())
        try:
            message = self.wire.deserialize(parts)
        except ValueError:
            return
        kept = {k: message[k] for k in ("header", "parent_header", "metadata", "content")}
        self.say(json.dumps({**kept, "channel": name}, default=str))

    def take_in(self) -> bool:
        """Reads what came in; returns whether there can be more."""
        piece = os.read(0, 1 << 20)
        *lines, self.rest = (self.rest + piece).split(b"\n")
        for line in lines:
            if line == b"!interrupt":
                os.killpg(self.kernel.pid, signal.SIGINT)
            elif line:
                message = json.loads(line)
                channel = self.stdin if message.get("channel") == "stdin" else self.shell
                channel.send_multipart(self.wire.serialize(message))
        return bool(piece)


if __name__ == "__main__":
    bridge = Bridge()
    try:
        bridge.run()
    finally:
        try:
            os.killpg(bridge.kernel.pid, signal.SIGKILL)
        except OSError:
            pass
        os._exit(0)
