"""Which messages of a server are passed on to the SDK, whatever way they come by."""

from __future__ import annotations

import math
import time

from mcp_types import JSONRPCMessage, JSONRPCNotification

NO_JSON_RPC = "The server's reply is no valid JSON-RPC."
_PROGRESS_AT_ONCE, _PROGRESS_A_SECOND = 200, 20


class ProgressGate:
    """Leaves out progress that is none, and what is more than anybody can look at.

    The SDK logs a stack for each that it refuses, and takes a millisecond for each: a server that
    tells its progress in a loop would be waited for until the call's limit.
    """

    def __init__(self) -> None:
        self._left = float(_PROGRESS_AT_ONCE)
        self._last = time.monotonic()

    def lets_through(self, message: JSONRPCMessage) -> bool:
        """Returns whether a message is passed on; all but progress are."""
        if not isinstance(message, JSONRPCNotification):
            return True
        if message.method != "notifications/progress":
            return True
        params = message.params or {}
        done, total = params.get("progress"), params.get("total", 1.0)
        if not _is_number(done) or not (total is None or _is_number(total)):
            return False
        if not isinstance(params.get("message", ""), (str, type(None))):
            return False
        now = time.monotonic()
        self._left = min(_PROGRESS_AT_ONCE, self._left + (now - self._last) * _PROGRESS_A_SECOND)
        self._last = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
