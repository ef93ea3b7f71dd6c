"""The guard against connections beyond this machine."""

import socket
import threading

import pytest

from qwenbelt.testing import NetworkBlocked, Scenario, ScriptedServer, loopback_only
from qwenbelt.testing.network import is_local


def test_only_this_machine_can_be_reached_inside() -> None:
    with ScriptedServer(Scenario().answer("x")) as server, loopback_only():
        port = int(server.url.split(":")[2].split("/")[0])
        socket.create_connection(("127.0.0.1", port)).close()
        socket.create_connection(("localhost", port)).close()
        with pytest.raises(NetworkBlocked, match=r"tried to reach example\.com\. Mark it with"):
            socket.create_connection(("example.com", 80), timeout=1)
        with pytest.raises(OSError, match=r"192\.0\.2\.1"):
            socket.create_connection(("192.0.2.1", 80), timeout=0.01)
        found: list[BaseException] = []

        def elsewhere() -> None:
            try:
                socket.getaddrinfo("example.org", 443)
            except NetworkBlocked as error:
                found.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert len(found) == 1


def test_outside_the_guard_nothing_is_refused() -> None:
    with pytest.raises(OSError, match=r"."):
        socket.create_connection(("192.0.2.1", 80), timeout=0.01)
    with loopback_only(), loopback_only():
        pass
    assert socket.getaddrinfo("127.0.0.1", 80)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", True),
        ("localhost", True),
        ("app.localhost", True),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("localhost.example.com", False),
        ("2130706433", True),
    ],
)
def test_what_counts_as_this_machine(host: str, local: bool) -> None:
    assert is_local(host) is local
