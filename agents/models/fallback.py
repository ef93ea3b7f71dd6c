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
_PATIENCE = 5.0  # seconds that an endpoint may ask us to wait before the next one is asked
_OUTAGES = (401, 402, 403, 404, 408, 429)  # and all from 500 on
_QUOTA = ("quota", "arrearage", "balance", "billing")  # DashScope reports it with the status 400


class FallbackModel(WrappedModel):
    """Asks the first model of a chain that works; what was adapted to stays with each.

    A failed request has had no effects: calls with effects wait for the whole reply. So the next
    model is given the same conversation, in its own form.

    Args:
        models: the chain.
        windows: what the settings of each allow to send, in tokens; None where they do not say.
    """

    def __init__(self, models: Sequence[EndpointModel], windows: Sequence[int | None] = ()) -> None:
        super().__init__(models[0])
        self._models = list(models)
        self._windows = [*windows, *[None] * len(self._models)]
        self._place = self._failed = 0

    @property
    def current(self) -> EndpointModel:
        """The model that is asked now."""
        return self._models[self._place]

    @property
    def own_window(self) -> int | None:
        """What the settings of the current model allow to send, in tokens."""
        return self._windows[self._place]

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
        waits = (error.retry_after or 0.0) > _PATIENCE
        if error.retryable and self._failed < _TRIES and not waits:
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

    dicts: list[dict[str, Any]] = []
    for llm in llms:
        if not isinstance(llm, (str, Mapping)):
            raise ConfigError(
                "A chain of endpoints holds specs or llm dicts.",
                fix='llm=["dashscope:qwen3-max", "ollama:qwen3:8b"]',
            )
        one = endpoint(llm) if isinstance(llm, str) else dict(llm)
        for own in (one, *(one.pop(KEY, None) or ())):  # a chain in a chain is a longer one
            if own not in dicts:  # the same again would have the same outage
                dicts.append(dict(own))
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
    cfgs = [own, *(cfg.get(KEY) or ())]
    models = [EndpointModel(one, form) for one in cfgs]
    return FallbackModel(models, [_window(one) for one in cfgs]) if len(models) > 1 else models[0]


def _window(cfg: Mapping[str, Any]) -> int | None:
    value = (cfg.get("generate_cfg") or {}).get("max_input_tokens")
    return int(value) if value and int(value) > 0 else None


def _is_outage(error: EndpointError) -> bool:
    said = f"{error.code or ''} {error.message}".lower()
    if any(word in said for word in _QUOTA):
        return True
    return error.status is None or error.status >= 500 or error.status in _OUTAGES
