"""A model around another one: what a subclass does not define itself is the other's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from qwenbelt.agents.models.codecs import Codec
from qwenbelt.agents.models.deltas import WirePiece
from qwenbelt.agents.models.endpoint_model import Model, Request
from qwenbelt.core.errors import EndpointError


class WrappedModel:
    """Forwards to another model all that a model is asked for; see `Model`.

    Args:
        inner: the other model.
    """

    def __init__(self, inner: Model) -> None:
        self._inner = inner

    @property
    def current(self) -> Model:
        """The model that is asked now."""
        return self._inner

    @property
    def name(self) -> str:
        """Its name."""
        return self.current.name

    @property
    def url(self) -> str:
        """Where it is."""
        return self.current.url

    @property
    def codec(self) -> Codec:
        """How calls are written for it."""
        return self.current.codec

    @property
    def max_retries(self) -> int:
        """How often a failed request is sent again."""
        return self.current.max_retries

    @property
    def thinks_not(self) -> bool:
        """Whether thinking is switched off."""
        return self.current.thinks_not

    @property
    def is_led(self) -> bool:
        """Whether it is told after each result what it was asked."""
        return self.current.is_led

    def __getattr__(self, name: str) -> Any:
        """Forwards what only some models have, such as `known`, `dialect` and `picture_rule`."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.current, name)

    def adapt(self, error: EndpointError, request: Request) -> str:
        """Changes how requests are written after a refusal; returns what changed, or ""."""
        return self.current.adapt(error, request)

    def pieces(self, request: Request) -> AsyncIterator[WirePiece]:
        """Sends a request and returns the pieces of the reply."""
        return self.current.pieces(request)
