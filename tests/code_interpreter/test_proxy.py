"""The way out of a session, without a session: what it passes on, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable

import pytest

from qwenbelt.tools.code_interpreter.proxy import Proxy

SECONDS = 60  # far more than anything here takes
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def with_proxy(serve: Serve, use: Callable[[int, int], Awaitable[None]]) -> None:
    """Runs a server, and a proxy that may reach it; then uses them by their ports."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    proxy = Proxy((f"127.0.0.1:{port}",))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await proxy.start(listener)
        try:
            await asyncio.wait_for(use(listener.getsockname()[1], port), SECONDS)
        finally:
            await proxy.close()
            server.close()
            await server.wait_closed()


async def ask(proxy: int, text: bytes, *, end: bool = False) -> bytes:
    """Sends, perhaps ends that direction, and returns all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy)
    writer.write(text)
    await writer.drain()
    if end:
        writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers, once the other side has ended, how much it has sent, and much more than that."""
    size = len(await reader.read())
    writer.write(f"{size};".encode() + b"z" * 3_000_000)
    await writer.drain()
    writer.close()


async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    body = head.split(b"\r\n")[0]
    writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + body)
    await writer.drain()
    writer.close()


def test_one_direction_may_end_before_the_other():
    async def use(proxy: int, port: int) -> None:
        head = f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode()
        answer = await ask(proxy, head + b"a" * 2_000_000, end=True)
        established, _, rest = answer.partition(b"\r\n\r\n")
        assert established == b"HTTP/1.1 200 Connection established"
        assert rest.startswith(b"2000000;z")
        assert len(rest) == 3_000_008

    asyncio.run(with_proxy(count, use))


def test_many_connections_at_once_are_all_answered():
    async def use(proxy: int, port: int) -> None:
        address = f"http://127.0.0.1:{port}"
        texts = [f"GET {address}/{n}?a=b HTTP/1.1\r\nProxy-X: y\r\n\r\n" for n in range(200)]
        answers = await asyncio.gather(*(ask(proxy, text.encode()) for text in texts))
        for number, answer in enumerate(answers):
            assert answer.endswith(f"GET /{number}?a=b HTTP/1.1".encode())

    asyncio.run(with_proxy(hello, use))


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"no request\r\n\r\n", b"400"),
        (b"x" * 200_000, b"400"),
        (b"", b"400"),
        (b"GET /path HTTP/1.1\r\n\r\n", b"403"),
        (b"GET http://127.0.0.1:99999/ HTTP/1.1\r\n\r\n", b"400"),
        (b"GET http://127.0.0.1:9/ HTTP/1.1\r\n\r\n" + b"b" * 500_000, b"403"),
    ],
)
def test_what_is_no_request_or_not_allowed_gets_an_answer(text, status):
    async def use(proxy: int, port: int) -> None:
        answer = await ask(proxy, text, end=True)
        assert answer.startswith(b"HTTP/1.1 " + status), answer

    asyncio.run(with_proxy(hello, use))


def test_a_server_that_is_not_there_is_said():
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        proxy = Proxy((f"127.0.0.1:{port}",))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            await proxy.start(listener)
            text = f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n".encode()
            answer = await ask(listener.getsockname()[1], text)
            await proxy.close()
        assert answer.startswith(b"HTTP/1.1 502")
        assert b"cannot be reached" in answer

    asyncio.run(main())


@pytest.mark.parametrize("steps", range(12))
def test_closing_ends_a_connection_at_each_step_of_its_reading(steps):
    # asyncio.wait_for of Python < 3.12 drops a cancel that comes together with the result: the
    # connection went on, and closing the session waited for it without end
    async def main() -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_server(("127.0.0.1", 0)) as listener,
        ):
            port = server.getsockname()[1]
            proxy = Proxy((f"127.0.0.1:{port}",))
            await proxy.start(listener)
            with socket.create_connection(listener.getsockname()) as client:
                await asyncio.sleep(0.02)  # the proxy reads
                client.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
                for _ in range(steps):
                    await asyncio.sleep(0)
                closing = asyncio.create_task(proxy.close())
                done, _ = await asyncio.wait({closing}, timeout=30)
                assert done

    asyncio.run(main())


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks into /proc")
def test_closing_ends_connections_in_any_state_and_leaves_no_descriptor():
    async def main() -> None:
        before = descriptors()
        with contextlib.ExitStack() as stack:
            server, listener = (
                stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=200))
                for _ in range(2)
            )
            port = server.getsockname()[1]
            proxy = Proxy((f"127.0.0.1:{port}",))
            await proxy.start(listener)
            clients = [
                stack.enter_context(socket.create_connection(listener.getsockname()))
                for _ in range(100)
            ]
            for client in clients[::3]:
                client.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
            clients[0].setblocking(False)
            said = await asyncio.get_running_loop().sock_recv(clients[0], 100)
            assert said.startswith(b"HTTP/1.1 200")
            open_ones = descriptors()
            await proxy.close()
            assert descriptors() < open_ones
        assert descriptors() <= before

    asyncio.run(main())
