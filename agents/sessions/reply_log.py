"""Replies kept as they come, so that work which was ended is done again without asking again.

    llm = kept_replies(llm, ReplyLog(path))

Where a run's results are more than the texts that a session keeps (variables, figures, passages
under numbers), its tools run again, and only the model's replies are taken from the file: the n-th
one there is the n-th one that is asked for.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qwenbelt.agents.chat_model import MODEL_TYPE, QwenbeltChat
from qwenbelt.agents.models import deltas
from qwenbelt.agents.models.deltas import WirePiece
from qwenbelt.agents.models.endpoint_model import Model, Request
from qwenbelt.agents.models.wrapped_model import WrappedModel
from qwenbelt.core.errors import ConfigError, InputError

_KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        deltas.Text,
        deltas.Thought,
        deltas.Relabel,
        deltas.CallDelta,
        deltas.Finish,
        deltas.Tokens,
        deltas.BuiltinUse,
    )
}


class ReplyLog:
    """The replies of one piece of work, in a file of JSON lines.

    Args:
        path: the file; it need not be there.
        state: returns what is to be known again when the work is begun anew, as JSON holds it;
            kept with each reply.

    Attributes:
        kept: the state at the last reply in the file, or None.
        repeated: how many replies came from the file.
    """

    def __init__(self, path: Path, state: Callable[[], Any] = lambda: None) -> None:
        self.path = path
        self.state = state
        self.kept: Any = None
        self.repeated = 0
        self._replies: list[list[WirePiece]] = []
        self._next = 0
        self._whole = 0  # bytes of whole lines: a kill may leave half of one
        self._read()

    def _read(self) -> None:
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror}).") from None
        for line in raw.splitlines(keepends=True):
            try:
                known = json.loads(line)
                pieces = [_piece_of(kind, fields) for kind, fields in known["pieces"]]
            except (ValueError, KeyError, TypeError):
                return
            if not line.endswith(b"\n"):
                return
            self._whole += len(line)
            self._replies.append(pieces)
            self.kept = known.get("state")

    def next(self) -> list[WirePiece] | None:
        """Returns the next reply in the file, or None after the last one."""
        if self._next >= len(self._replies):
            return None
        self._next += 1
        self.repeated += 1
        return self._replies[self._next - 1]

    def add(self, pieces: list[WirePiece]) -> None:
        """Keeps a whole reply.

        Raises:
            InputError: it cannot be written.
        """
        told = [[type(piece).__name__, asdict(piece)] for piece in pieces]
        line = json.dumps({"pieces": told, "state": self.state()}, ensure_ascii=False) + "\n"
        data = line.encode("utf-8", "replace")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("r+b" if self.path.exists() else "xb") as file:
                file.truncate(self._whole)
                file.seek(self._whole)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror}).") from None
        self._whole += len(data)
        self._replies.append(pieces)
        self._next = len(self._replies)

    def forget(self) -> None:
        """Removes the file."""
        with suppress(OSError):
            self.path.unlink()


class _KeptModel(WrappedModel):
    """Repeats the replies that are kept, then asks and keeps."""

    def __init__(self, inner: Model, log: ReplyLog) -> None:
        super().__init__(inner)
        self._log = log

    async def pieces(self, request: Request) -> AsyncIterator[WirePiece]:
        """Yields a reply; one that is cut off is not kept."""
        kept = self._log.next()
        if kept is not None:
            for piece in kept:
                yield piece
            return
        came: list[WirePiece] = []
        async for piece in self.current.pieces(request):
            came.append(piece)
            yield piece
        await asyncio.to_thread(self._log.add, came)


class _KeptChat(QwenbeltChat):
    """A chat model whose loop model keeps its replies."""

    def __init__(self, inner: QwenbeltChat, log: ReplyLog) -> None:
        super().__init__(inner.cfg)
        self._inner, self._log = inner, log

    def loop_model(self, form: str | None) -> Model:
        """Returns the other's, which keeps its replies."""
        return _KeptModel(self._inner.loop_model(form), self._log)


def kept_replies(llm: Any, log: ReplyLog) -> QwenbeltChat:
    """Returns a chat model for an agent whose replies are kept in a log.

    Args:
        llm: what agents take as `llm`.
        log: where; for one run at a time.

    Raises:
        ConfigError: it is another kind of model.
    """
    from qwenbelt.agents.fncall import with_model_type

    llm = with_model_type(llm)
    chat = QwenbeltChat(llm) if isinstance(llm, Mapping) else llm
    if not can_be_kept(llm):
        raise ConfigError(
            f"Replies of a {type(llm).__name__} cannot be kept.",
            fix="Give an endpoint or an llm dict.",
        )
    return _KeptChat(chat, log)


def can_be_kept(llm: Any) -> bool:
    """Returns whether replies of an agent's llm can be kept: not those of qwen-agent's models."""
    if isinstance(llm, Mapping):
        return llm.get("model_type") in (None, "", MODEL_TYPE)
    return llm is None or isinstance(llm, (str, list, tuple, QwenbeltChat))


def _piece_of(kind: str, fields: Mapping[str, Any]) -> WirePiece:
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    piece: WirePiece = _KINDS[kind](**given)
    return piece
