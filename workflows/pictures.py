"""Many pictures side by side, kept as they are done: what inspecting and labelling share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from qwenbelt.core.errors import EndpointError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.workflows.inspection.sources import PictureSource, unique_stems

IN_FLIGHT = 8
STATE = "done.jsonl"
_ENDPOINT_FAILURES = 3  # in a row, before the first success: the endpoint itself is at fault

T = TypeVar("T")


class Health:
    """Distinguishes an endpoint that is down from one picture that it cannot answer."""

    def __init__(self) -> None:
        self._failures = self._successes = 0

    def answered(self) -> None:
        """Notes that the endpoint works."""
        self._successes += 1

    def failed(self, error: EndpointError) -> None:
        """Notes a failure.

        Raises:
            EndpointError: `error` itself, when the endpoint fails from the beginning.
        """
        self._failures += 1
        hopeless = self._failures >= _ENDPOINT_FAILURES or not error.retryable
        if hopeless and not self._successes:
            raise error


async def for_each_source(
    sources: Sequence[PictureSource],
    work: Callable[[PictureSource, str], Awaitable[T]],
    slots: asyncio.Semaphore,
    progress: Callable[[T], None] | None = None,
) -> list[T]:
    """Does `work` for all sources, this many at once as there are slots; results in their order.

    Args:
        sources: the pictures.
        work: gets a source and a file name without ending that no other source has.
        slots: bounds what is done at the same time.
        progress: called with each result as soon as it is there.
    """

    async def one(source: PictureSource, stem: str) -> T:
        async with slots:
            found = await work(source, stem)
        if progress is not None:
            progress(found)
        return found

    stems = unique_stems([source.name for source in sources])
    tasks = [
        asyncio.ensure_future(one(source, stem))
        for source, stem in zip(sources, stems, strict=True)
    ]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:  # a cancel, too, ends the other pictures before it propagates
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def read_done(path: Path, read: Callable[[dict[str, Any]], T]) -> dict[str, T]:
    """Returns the finished pictures of a record by their keys; none where there is no record."""
    done: dict[str, T] = {}
    if not path.is_file():
        return done
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            table = loads_bounded(line)
            done[table["key"]] = read(table)
        except (KeyError, TypeError, ValueError):
            continue  # the last line of a run that was killed while writing
    return done
