"""Downloads from untrusted URLs.

Every hop is checked by `core.urls`, and the connection goes to the address that was checked, so
that neither a redirect nor a name that changes its address leads to a private place. Size counts
after decompression; time counts for the whole download.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from qwenbelt.core.errors import InputError, one_line
from qwenbelt.core.settings import load_settings
from qwenbelt.core.urls import Target, check_url

if TYPE_CHECKING:
    import httpx

MAX_REDIRECTS = 5
MAX_BYTES = 20 * 1024 * 1024
SECONDS = 30.0
USER_AGENT = "qwenbelt (+https://pypi.org/project/qwenbelt/)"


@dataclass(frozen=True)
class Downloaded:
    """A finished download.

    Attributes:
        url: where it came from in the end, after redirects.
        media_type: for example "text/html", lower case, "" when the server gave none.
        charset: as the server gave it, else "".
    """

    url: str
    media_type: str
    charset: str
    data: bytes


def download_url(
    url: str,
    *,
    max_bytes: int = MAX_BYTES,
    seconds: float = SECONDS,
    allow_private: bool | None = None,
) -> Downloaded:
    """Downloads a URL within limits.

    Args:
        url: an http or https URL.
        max_bytes: of the content, decompressed.
        seconds: for everything, redirects included.
        allow_private: whether private addresses are allowed; the settings decide when None.

    Raises:
        InputError: not reachable, an error status, too large, too slow, or too many redirects.
        ToolRefused: the URL, or a redirect, leads to a private address.
    """
    import httpx

    private = load_settings().allow_private_urls if allow_private is None else allow_private
    deadline, alarm = time.monotonic() + seconds, None
    try:
        for _ in range(MAX_REDIRECTS + 1):
            target = check_url(url, allow_private=private)
            with _Alarm(deadline) as alarm, _http_client(target, deadline) as client:
                request = _pinned_request(client, target, alarm)
                with contextlib.closing(client.send(request, stream=True)) as reply:
                    if not reply.is_redirect:
                        return _read_body(reply, url, max_bytes, deadline)
                    url = urljoin(url, reply.headers["location"])
    except httpx.TimeoutException as error:
        raise InputError(f"{url}: no answer within {seconds:g} s.") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        if (alarm is not None and alarm.rang) or time.monotonic() >= deadline:
            raise InputError(f"{url}: took too long; the limit is {seconds:g} s.") from error
        raise InputError(f"{url}: {one_line(error) or type(error).__name__}.") from error
    raise InputError(f"{url}: more than {MAX_REDIRECTS} redirects.")


class _Alarm:
    """Ends a connection when the time is over, also one that drips its headers byte by byte.

    httpx limits the wait for each piece, not for the whole.
    """

    def __init__(self, deadline: float) -> None:
        self._timer = threading.Timer(max(0.0, deadline - time.monotonic()), self._ring)
        self._timer.daemon = True
        self._socket: socket.socket | None = None
        self.rang = False  # timers may be a moment early, before `deadline` by the clock

    def __enter__(self) -> _Alarm:
        self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()

    def trace(self, event: str, details: Mapping[str, Any]) -> None:
        """Remembers the connection's socket (httpcore's `trace` extension)."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = details["return_value"].get_extra_info("socket")

    def _ring(self) -> None:
        self.rang = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _http_client(target: Target, deadline: float) -> httpx.Client:
    import httpx

    left = max(0.1, deadline - time.monotonic())
    return httpx.Client(
        timeout=httpx.Timeout(min(left, 10.0)),
        trust_env=False,  # a proxy would connect to the name, not to the checked address
        follow_redirects=False,
        headers={"User-Agent": USER_AGENT, "Accept-Language": "zh,en;q=0.9"},
        verify=target.scheme == "https",
    )


def _pinned_request(client: httpx.Client, target: Target, alarm: _Alarm) -> httpx.Request:
    """Returns a request to the checked address that names the host to the server and to TLS."""
    import httpx

    usual = {"http": 80, "https": 443}[target.scheme]
    host = f"[{target.host}]" if ":" in target.host else target.host
    host = host if target.port == usual else f"{host}:{target.port}"
    url = httpx.URL(target.url).copy_with(host=target.address, fragment=None)
    extensions = {"sni_hostname": target.host, "trace": alarm.trace}
    return client.build_request("GET", url, headers={"Host": host}, extensions=extensions)


def _read_body(reply: httpx.Response, url: str, max_bytes: int, deadline: float) -> Downloaded:
    if reply.status_code >= 400:
        raise InputError(f"{url}: the server answered {reply.status_code} {reply.reason_phrase}.")
    media_type, _, rest = reply.headers.get("content-type", "").partition(";")
    charset = rest.partition("charset=")[2].split(";")[0].strip(" \"'")
    parts, size = [], 0
    for piece in _body_pieces(reply, deadline, url):
        parts.append(piece)
        size += len(piece)
        if size > max_bytes:
            raise InputError(f"{url}: larger than the limit of {max_bytes / 1e6:g} MB.")
    return Downloaded(url, media_type.strip().lower(), charset, b"".join(parts))


def _body_pieces(reply: httpx.Response, deadline: float, url: str) -> Iterator[bytes]:
    for piece in reply.iter_bytes():
        yield piece
        if time.monotonic() > deadline:
            raise InputError(f"{url}: took too long to send its content.")
