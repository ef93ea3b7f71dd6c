"""Stores logins: one file a server, readable by its owner alone.

Each is bound to the address of its server and to the issuer of its tokens, whose endpoints it
holds, so that a token never goes to another. Where the system has a keyring (the package `keyring`
with a real backend), the secrets are in there and the file has the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
import json
import os
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from qwenbelt.core.errors import ConfigError
from qwenbelt.core.files import replacing_file
from qwenbelt.core.secrets import remember_secret

try:
    import fcntl
except ImportError:  # Windows: processes do not wait for one another there
    fcntl = None  # type: ignore[assignment]

FOLDER_VARIABLE = "QWENBELT_LOGINS"
_SERVICE = "qwenbelt-mcp"
_SECRETS = ("access_token", "refresh_token", "client_secret")
_LOCK_SECONDS = 60.0
_POLL_SECONDS = 0.05


@dataclass
class Login:
    """What is kept of one login.

    Attributes:
        server: the server's address.
        issuer: the authorization server that gave the tokens.
        tokens: its answer, as OAuth has it.
        expires_at: when the access token ends, in seconds of the epoch; None if it did not say.
        client: our registration there.
        metadata: the authorization server's endpoints.
        resource: the server's description of itself, as a protected resource.
        wanted: scopes that were refused for want of them; the next login asks for them.
    """

    server: str
    issuer: str = ""
    tokens: dict[str, Any] = field(default_factory=dict, repr=False)
    expires_at: float | None = None
    client: dict[str, Any] = field(default_factory=dict, repr=False)
    metadata: dict[str, Any] = field(default_factory=dict)
    resource: dict[str, Any] = field(default_factory=dict)
    wanted: str = ""

    @property
    def expired(self) -> bool:
        """Whether the access token has ended, or ends in a moment."""
        if self.expires_at is None:
            return False
        lifetime = self.tokens.get("expires_in") or 0
        return time.time() >= self.expires_at - min(5.0, lifetime / 10)


class LoginStore:
    """The login at one server.

    Args:
        server: the server's address.
        client_id: of a client that was registered by hand; each has its own login.
    """

    def __init__(self, server: str, client_id: str = "") -> None:
        self.server = canonical_url(server)
        key = f"{self.server} {client_id}".strip()
        self.name = hashlib.sha256(key.encode()).hexdigest()[:32]
        self.path = logins_folder() / f"{self.name}.json"

    def read(self) -> Login | None:
        """Returns what is kept, or None.

        Raises:
            ConfigError: the file can be read by others, or not by us.
        """
        try:
            with self.path.open(encoding="utf-8") as file:
                _check_owner(self.path, os.fstat(file.fileno()))
                data = json.load(file)
            if data.pop("keyring", False):
                secrets = json.loads(_keyring_call("get_password", self.name) or "{}")
                for part, values in secrets.items():
                    data[part].update(values)
            login = Login(**data)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None  # half a file, or of another version: one logs in again
        if login.server != self.server:
            return None
        for value in _secrets_of(login):
            remember_secret(value)
        return login

    def write(self, login: Login) -> None:
        """Keeps a login."""
        for value in _secrets_of(login):
            remember_secret(value)
        data = asdict(login)
        if keyring_name():
            secrets = {
                part: {k: data[part].pop(k) for k in _SECRETS if k in data[part]}
                for part in ("tokens", "client")
            }
            _keyring_call("set_password", self.name, json.dumps(secrets))
            data["keyring"] = True
        _make_folder(self.path.parent)
        with replacing_file(self.path) as file:
            if os.name == "posix":
                os.fchmod(file.fileno(), 0o600)  # before anything is in it
            file.write(json.dumps(data).encode())

    def remove(self) -> bool:
        """Forgets the login; returns whether there was one."""
        if keyring_name():
            with contextlib.suppress(Exception):  # there was none
                _keyring_call("delete_password", self.name)
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Holds the login's lock, so that of several processes one renews the tokens.

        A process that dies lets go of it. After a minute the lock is ignored: its holder hangs,
        and the worst that can happen is a second refresh.
        """
        _make_folder(self.path.parent)
        handle = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + _LOCK_SECONDS
            while not _try_lock(handle) and time.monotonic() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECONDS)
            yield
        finally:
            os.close(handle)


def logins_folder() -> Path:
    """Returns the folder of the logins; it need not be there."""
    if given := os.environ.get(FOLDER_VARIABLE):
        return Path(given).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("qwenbelt", appauthor=False)) / "logins"


def canonical_url(url: str) -> str:
    """Returns a server's address as logins are bound to it (RFC 8707)."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower()
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme.lower()}://{host}{parts.path.rstrip('/')}{query}"


def keyring_name() -> str:
    """Returns the name of the system's keyring, "" where there is none (or it is not wanted)."""
    if os.environ.get("QWENBELT_KEYRING", "").lower() in ("0", "off", "no", "false"):
        return ""
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        return ""
    backend = keyring.get_keyring()
    # backends that store nothing ("fail", "null") or plain files have a priority below 1
    return str(backend.name) if backend.priority >= 1 else ""


def _keyring_call(method: str, *arguments: str) -> str | None:
    keyring = importlib.import_module("keyring")
    try:
        found: str | None = getattr(keyring, method)(_SERVICE, *arguments)
    except keyring.errors.KeyringError as error:
        raise ConfigError(
            f"The system's keyring refused: {type(error).__name__}.",
            fix="Unlock it, or set QWENBELT_KEYRING=0 to keep logins in a file.",
        ) from error
    return found


def _secrets_of(login: Login) -> list[str]:
    parts = (login.tokens, login.client)
    return [str(part[key]) for part in parts for key in _SECRETS if part.get(key)]


def _check_owner(path: Path, status: os.stat_result) -> None:
    if os.name == "posix" and (status.st_mode & 0o077 or status.st_uid != os.geteuid()):
        raise ConfigError(
            f"{path} holds a login and can be read by others.",
            fix=f"Run: chmod 600 {path} (and log in anew if it was).",
        )


def _make_folder(place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True, mode=0o700)


def _try_lock(handle: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
