"""Which variables of code belong to a turn of a `Session`: for forks, and for turns taken back.

A turn's variables have a name of their own while it runs; when it has ended, the name is found by
what was said up to there, so that a copy of the turns finds it too. Names are known in this process
only: with it the kernels end.
"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from typing import TYPE_CHECKING, Any

from qwenbelt.tools.code_interpreter.states.kept_states import NO_CODE_YET

if TYPE_CHECKING:
    from qwenbelt.agents.sessions.session import Session

_INTERPRETER = "code_interpreter"
_MOST_SESSIONS = 100


class CodeStates:
    """The names of this process's sessions; may be used from many threads."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._running: dict[tuple[str, str], tuple[Session, int, str]] = {}
        self._lock = threading.Lock()

    def begin_turn(self, session: Session) -> tuple[str, str]:
        """Returns the names of the variables after the turn that begins, and before it."""
        with self._lock:
            for other, count, name in self._running.values():
                said = _said(other)
                if len(said) == count:
                    self._names.setdefault(said[-1][0], name)
            said, before = _said(session), NO_CODE_YET
            for digest, ran in said:
                if ran:
                    before = self._names.get(digest, digest[:32])
            name = uuid.uuid4().hex
            key = str(session.place), session.name
            self._running.pop(key, None)
            self._running[key] = session, len(said) + 1, name
            while len(self._running) > _MOST_SESSIONS:
                self._running.pop(next(iter(self._running)))
            return name, before


code_states = CodeStates()


def _said(session: Session) -> list[tuple[str, bool]]:
    """Returns for each turn that has ended a digest of all up to it, and whether it ran code."""
    digest, out = hashlib.sha256(), []
    for _, is_open, messages in session.open_turns():
        if is_open:
            break
        digest.update(json.dumps(messages, sort_keys=True, default=str).encode())
        out.append((digest.hexdigest(), any(map(_runs_code, messages))))
    return out


def _runs_code(message: dict[str, Any]) -> bool:
    called = message.get("function_call")
    return isinstance(called, dict) and called.get("name") == _INTERPRETER
