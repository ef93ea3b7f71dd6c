"""A chain of models: when one has an outage or no quota left, the next one takes over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from qwenbelt.agents.models.deltas import WirePiece
from qwenbelt.agents.models.endpoint_model import EndpointModel, Request
from qwenbelt.agents.models.wrapped_model import WrappedModel
from qwenbelt.core.errors import ConfigError, EndpointError, one_line

KEY = "fallback"  # in an llm dict: its substitutes, as llm dicts, in order
_TRIES = 2  # at an endpoint whose failure may pass, before the next one is asked
_OUTAGES = (401, 402, 403, 404, 408, 429)  # and all from 500 on
_QUOTA = ("quota", "arrearage", "balance", "billing")  # DashScope reports it with the status 400


class FallbackModel(WrappedModel):
    """Asks the first model of a chain that works; what was adapted to stays with each.

    A failed request has had no effects: calls with effects wait for the whole reply. So the next
    model is given the same conversation, in its own form.

    Args:
        models: the chain.
    """

    def __init__(self, models: Sequence[EndpointModel]) -> None:
        super().__init__(models[0])
        self._models = list(models)
        self._place = self._failed = 0

    @property
    def current(self) -> EndpointModel:
        """The model that is asked now."""
        return self._models[self._place]

    async def pieces(self, request: Request) -> AsyncIterator[WirePiece]:
        """Sends a request to the current model and yields the pieces of the reply.

        Raises:
            EndpointError: the endpoint failed; `adapt` may switch to the next one.
        """
        async with aclosing(self.current.pieces(request)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                yield piece
        self._failed = 0

    def adapt(self, error: EndpointError, request: Request) -> str:
        """Adapts the current model, or switches to the next; returns what changed, or ""."""
        change = self.current.adapt(error, request)
        if change:
            return change
        self._failed += 1
        if self._place + 1 == len(self._models) or not _is_outage(error):
            return ""
        if error.retryable and self._failed < _TRIES:
            return ""
        failed = self.current
        self._place, self._failed = self._place + 1, 0
        why = one_line(error.message, 160)
        return f"{failed.name} cannot be asked ({why}); going on with {self.name} at {self.url}"


def chain_of(llms: Sequence[Any]) -> dict[str, Any]:
    """Returns the llm dict of a chain of specs and llm dicts.

    Raises:
        ConfigError: it is empty, or something in it is neither.
    """
    from qwenbelt.agents.models.endpoints import endpoint

    dicts = []
    for llm in llms:
        if not isinstance(llm, (str, Mapping)):
            raise ConfigError(
                "A chain of endpoints holds specs or llm dicts.",
                fix='llm=["dashscope:qwen3-max", "ollama:qwen3:8b"]',
            )
        dicts.append(endpoint(llm) if isinstance(llm, str) else dict(llm))
    if not dicts:
        raise ConfigError(
            "A chain of endpoints holds at least one.",
            fix='llm=["dashscope:qwen3-max", "ollama:qwen3:8b"]',
        )
    first, *others = dicts
    return {**first, KEY: others} if others else first


def model_of(cfg: Mapping[str, Any], form: str | None = None) -> EndpointModel | FallbackModel:
    """Returns the model of an llm dict, or the chain where it names substitutes."""
    own = {name: value for name, value in cfg.items() if name != KEY}
    models = [EndpointModel(one, form) for one in (own, *(cfg.get(KEY) or ()))]
    return FallbackModel(models) if len(models) > 1 else models[0]


def _is_outage(error: EndpointError) -> bool:
    said = f"{error.code or ''} {error.message}".lower()
    if any(word in said for word in _QUOTA):
        return True
    return error.status is None or error.status >= 500 or error.status in _OUTAGES
