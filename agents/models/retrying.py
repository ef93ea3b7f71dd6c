"""The attempts at one reply of a model: the same rule for agents and for the chat model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from qwenbelt.agents.models.endpoint_model import Model, Request
from qwenbelt.agents.models.refusals import is_overflow
from qwenbelt.core.errors import EndpointError
from qwenbelt.core.retries import retry_delay


class ReplyAttempts:
    """Decides after each failed request whether, how and when it is sent again.

    Args:
        model: the model that is asked.
        shorten: makes the conversation shorter after a refusal of its length; returns whether it
            could.
        adapted: called with a sentence for people when the model has changed how it is asked.
        waiting: called with the number of the attempt, the delay in seconds and the failure.
    """

    def __init__(
        self,
        model: Model,
        shorten: Callable[[EndpointError], Awaitable[bool]],
        adapted: Callable[[str], None],
        waiting: Callable[[int, float, EndpointError], None] | None = None,
    ) -> None:
        self._model = model
        self._shorten = shorten
        self._adapted = adapted
        self._waiting = waiting
        self._failed = 0

    async def again(self, error: EndpointError, request: Request) -> bool:
        """Returns when the request should be written and sent again; returns whether it has waited.

        Raises:
            EndpointError: `error` itself, when another attempt would not help.
        """
        if is_overflow(error):
            if await self._shorten(error):
                return False
        elif change := self._model.adapt(error, request):
            self._adapted(change)
            return False
        self._failed += 1
        if not error.retryable or self._failed > self._model.max_retries:
            raise error
        delay = retry_delay(self._failed, error.retry_after)
        if self._waiting is not None:
            self._waiting(self._failed, delay, error)
        await asyncio.sleep(delay)
        return True
