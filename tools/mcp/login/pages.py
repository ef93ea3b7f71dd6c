"""Sends a person to the authorization server, and receives its redirect."""

from __future__ import annotations

import asyncio
import functools
import html
import threading
import webbrowser
from collections.abc import Callable
from typing import Any, Protocol, TextIO
from urllib.parse import parse_qs, urlsplit

import anyio
from mcp.client.auth import OAuthFlowError
from mcp.shared.auth import AuthorizationCodeResult

from qwenbelt.core.errors import ToolRefused, one_line
from qwenbelt.core.language import user_language
from qwenbelt.core.urls import is_loopback
from qwenbelt.tools.base import Elicit, Question

_ASKS = {
    "en": "{server} asks you to log in. Open the page and come back.",
    "zh": "{server} 需要您登录。请打开该页面，完成后返回。",
}
_PASTE = {
    "en": "If the page cannot come back to this machine: the address where your browser ended",
    "zh": "如果页面无法返回本机：请粘贴浏览器最后停留的地址",
}
_MOST_PASTES = 3
PATH = "/callback"
LOGIN_SECONDS = 300.0
_MOST_BYTES = 16 * 1024
_PAGES = {
    "en": ("You are logged in. You may close this page.", "The login failed: {reason}"),
    "zh": ("登录成功，可以关闭此页面。", "登录失败：{reason}"),
}


class LoginPage(Protocol):
    """Shows a person where to log in."""

    async def show(self, url: str, waiting: asyncio.Future[AuthorizationCodeResult]) -> None:
        """Shows the page's address; `waiting` will hold the answer, and may be settled by it."""
        ...


class Redirect:
    """Our end of the redirect: a small HTTP server on this machine, for one login.

    Requests that do not carry the login's own `state` are turned away and change nothing, so no
    other page or program of this machine can end or answer it.
    """

    def __init__(self, page: LoginPage) -> None:
        self._page = page
        self._server: asyncio.Server | None = None
        self._answer: asyncio.Future[AuthorizationCodeResult] | None = None
        self._state = ""
        self.url = ""

    async def start(self, *ports: int) -> None:
        """Listens on the first of the ports that is free, else on any.

        Raises:
            OAuthFlowError: this machine has no port for it.
        """
        for port in (*ports, 0):
            try:
                self._server = await asyncio.start_server(
                    self._serve, "127.0.0.1", port, limit=_MOST_BYTES
                )
            except OSError:
                continue
            break
        if self._server is None:
            raise OAuthFlowError("no port of this machine is free for the login's redirect")
        number = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{number}{PATH}"

    async def close(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.close()

    async def show(self, url: str) -> None:
        """Sends the person to the authorization server.

        Raises:
            ToolRefused: the address is none to send people to.
        """
        if urlsplit(url).scheme != "https" and not is_loopback(url):
            raise ToolRefused(f"The login page {url[:80]!r} is not at an https address.")
        self._state = parse_qs(urlsplit(url).query).get("state", [""])[-1]
        self._answer = asyncio.get_running_loop().create_future()
        await self._page.show(url, self._answer)

    async def result(self) -> AuthorizationCodeResult:
        """Waits for the answer.

        Raises:
            OAuthFlowError: the person or the authorization server refused, or did not answer.
        """
        if self._answer is None:
            raise OAuthFlowError("no login page was shown")
        try:
            with anyio.fail_after(LOGIN_SECONDS):
                return await self._answer
        except TimeoutError:
            raise OAuthFlowError(f"nobody logged in within {LOGIN_SECONDS:g} s") from None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        good, bad = _PAGES[user_language()]
        status, text = "404 Not Found", ""
        try:
            with anyio.fail_after(10):
                head = await reader.readuntil(b"\r\n\r\n")
            method, target = head.split(b" ", 2)[:2]
            if method == b"GET" and urlsplit(target.decode("latin-1")).path == PATH:
                try:
                    found = read_answer(target.decode("latin-1"), self._state)
                    status, text = "200 OK", good
                    self._settle(found)
                except OAuthFlowError as error:
                    status, text = "400 Bad Request", bad.format(reason=one_line(error, 300))
                    self._settle(error)
                except ValueError as error:
                    status, text = "400 Bad Request", bad.format(reason=one_line(error, 300))
            body = f"<!doctype html><meta charset=utf-8><p>{html.escape(text)}</p>".encode()
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\n"
                "Content-Security-Policy: default-src 'none'\r\nReferrer-Policy: no-referrer\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # no browser of ours
        finally:
            writer.close()

    def _settle(self, found: AuthorizationCodeResult | OAuthFlowError) -> None:
        if self._answer is None or self._answer.done():
            return
        if isinstance(found, OAuthFlowError):
            self._answer.set_exception(found)
        else:
            self._answer.set_result(found)


def read_answer(address: str, state: str) -> AuthorizationCodeResult:
    """Reads the address that the authorization server sent the browser to.

    Raises:
        OAuthFlowError: the answer is a refusal.
        ValueError: it is no answer to this login.
    """
    values = {k: v[-1] for k, v in parse_qs(urlsplit(address.strip()).query).items()}
    if not state or values.get("state") != state:
        raise ValueError("this is not the answer to the login that waits")
    if "error" in values:
        said = values.get("error_description") or values["error"]
        raise OAuthFlowError(f"the authorization server refused: {one_line(said, 300)}")
    if not values.get("code"):
        raise ValueError("there is no code in this address")
    return AuthorizationCodeResult(
        code=values["code"], state=values["state"], iss=values.get("iss")
    )


class BrowserPage:
    """Opens `$BROWSER` (or the usual one); the answer may be pasted as well.

    Args:
        tell: prints the page's address.
        browser: whether to open one.
        pasted: where a person may paste the address that the browser was sent to, for machines
            whose loopback the browser does not reach.
        complain: prints what is wrong with a pasted line.
    """

    def __init__(
        self,
        tell: Callable[[str], None],
        *,
        browser: bool = True,
        pasted: TextIO | None = None,
        complain: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._tell = tell
        self._browser = browser
        self._pasted = pasted
        self._complain = complain

    async def show(self, url: str, waiting: asyncio.Future[AuthorizationCodeResult]) -> None:
        """Prints the address, opens it, and listens for a pasted answer."""
        self._tell(url)
        loop = asyncio.get_running_loop()
        # daemon threads: a text browser or a waiting prompt may outlive the login
        if self._browser:
            threading.Thread(target=_open_browser, args=(url,), daemon=True).start()
        if self._pasted is not None:
            work = (self._pasted, url, loop, waiting)
            threading.Thread(target=self._read, args=work, daemon=True).start()

    def _read(
        self,
        lines: TextIO,
        url: str,
        loop: asyncio.AbstractEventLoop,
        waiting: asyncio.Future[AuthorizationCodeResult],
    ) -> None:
        state = parse_qs(urlsplit(url).query).get("state", [""])[-1]

        def settle(found: AuthorizationCodeResult | Exception) -> None:
            if waiting.done():
                return
            if isinstance(found, Exception):
                waiting.set_exception(found)
            else:
                waiting.set_result(found)

        for line in lines:
            if not line.strip():
                continue
            try:
                found: AuthorizationCodeResult | Exception = read_answer(line, state)
            except OAuthFlowError as error:
                found = error
            except ValueError as error:
                self._complain(str(error))
                continue
            loop.call_soon_threadsafe(settle, found)
            return


class LoginDeclined(OAuthFlowError):
    """The person refused, or there is no one to ask."""


class AskedPage:
    """Puts the page to the person of a run, as a server's question in the URL mode.

    Args:
        server: its name.
        elicit: asks.
    """

    def __init__(self, server: str, elicit: Elicit) -> None:
        self._server = server
        self._elicit = elicit
        self._tasks: set[asyncio.Task[None]] = set()

    async def show(self, url: str, waiting: asyncio.Future[AuthorizationCodeResult]) -> None:
        """Asks, and returns at once: the redirect may come before the person answers."""
        task = asyncio.create_task(self._asked(url, waiting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _asked(self, url: str, waiting: asyncio.Future[AuthorizationCodeResult]) -> None:
        language = user_language()
        text = _ASKS[language].format(server=self._server)
        state = parse_qs(urlsplit(url).query).get("state", [""])[-1]
        fault = ""
        for _ in range(_MOST_PASTES):
            field = {"type": "string", "title": _PASTE[language]}
            schema = {"type": "object", "properties": {"address": field}}
            question = Question(self._server, f"{text}{fault}", schema, "url", url)
            answer = asyncio.wrap_future(self._elicit(question))
            # once the redirect has come, nobody need answer any more
            waiting.add_done_callback(functools.partial(_no_longer_asked, answer))
            values = await answer
            if waiting.done():
                return
            if values is None:
                waiting.set_exception(LoginDeclined("the person declined to log in"))
                return
            if not values.get("address"):
                return  # the redirect will come
            try:
                waiting.set_result(read_answer(str(values["address"]), state))
                return
            except OAuthFlowError as error:
                waiting.set_exception(error)
                return
            except ValueError as error:
                fault = f" ({one_line(error, 200)})"
        waiting.set_exception(LoginDeclined("no pasted address was the answer to this login"))


def _no_longer_asked(answer: asyncio.Future[Any], login: object) -> None:
    answer.cancel()


def _open_browser(url: str) -> None:
    try:
        webbrowser.open(url)
    except (webbrowser.Error, OSError, ValueError):
        return  # the address is printed
