"""Labelling many pictures side by side, kept as it goes, resumed where it stopped."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from qwenbelt.core.errors import EndpointError, QwenbeltError, one_line
from qwenbelt.core.files import output_folder, replacing
from qwenbelt.workflows.inspection.sources import Source, open_source, unique_stems
from qwenbelt.workflows.labelling.asking import Labelled, Labeller, labelled_of

IN_FLIGHT = 8
_STATE = "done.jsonl"
_THUMB_SIDE = 360
_ENDPOINT_FAILURES = 3  # in a row, before the first success: the endpoint itself is at fault


class Job:
    """Labels pictures and keeps each result as soon as it is there.

    Args:
        labeller: whom to ask.
        folder: where thumbnails and the record of finished pictures are kept.
        in_flight: pictures that are asked about at the same time.
        allow_private: whether addresses may be private; the settings decide when None.
    """

    def __init__(
        self,
        labeller: Labeller,
        folder: Path,
        *,
        in_flight: int = IN_FLIGHT,
        allow_private: bool | None = None,
    ) -> None:
        self.labeller = labeller
        self.folder = output_folder(folder)
        output_folder(self.folder / "thumbnails")
        self._slots = asyncio.Semaphore(in_flight)
        self._allow_private = allow_private
        self._done = self._read_done()
        self._failures = self._successes = 0

    async def run(
        self, sources: Sequence[Source], progress: Callable[[Labelled], None] | None = None
    ) -> list[Labelled]:
        """Labels the pictures, in the order given; one bad picture never ends the run.

        Raises:
            EndpointError: the endpoint fails from the beginning.
        """
        stems = unique_stems([source.name for source in sources])
        with (self.folder / _STATE).open("a", encoding="utf-8") as record:

            async def one(source: Source, stem: str) -> Labelled:
                async with self._slots:
                    found = await self._one(source, stem, record)
                if progress is not None:
                    progress(found)
                return found

            tasks = [
                asyncio.ensure_future(one(source, stem))
                for source, stem in zip(sources, stems, strict=True)
            ]
            try:
                return list(await asyncio.gather(*tasks))
            except BaseException:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                raise

    async def _one(self, source: Source, stem: str, record: IO[str]) -> Labelled:
        try:
            picture, digest = await asyncio.to_thread(
                open_source, source, allow_private=self._allow_private
            )
        except QwenbeltError as error:
            return Labelled(source.name, False, one_line(error), doubtful=True)
        key = self._key(source, digest)
        if key in self._done:
            return self._done[key]
        await asyncio.to_thread(self._keep_thumbnail, picture.copy(), stem)
        try:
            found = await self.labeller.label(source.name, picture)
        except EndpointError as error:
            self._failures += 1
            if not self._successes and (
                self._failures >= _ENDPOINT_FAILURES or not error.retryable
            ):
                raise
            return Labelled(source.name, False, one_line(error), doubtful=True)
        self._successes += 1
        if found.ok:
            line = {"key": key, **found.to_dict()}
            record.write(json.dumps(line, ensure_ascii=False) + "\n")
            record.flush()
        return found

    def _keep_thumbnail(self, picture: object, stem: str) -> None:
        from PIL.Image import Image

        assert isinstance(picture, Image)
        picture.thumbnail((_THUMB_SIDE, _THUMB_SIDE))
        with replacing(self.folder / "thumbnails" / f"{stem}.jpg") as temporary:
            picture.save(temporary, "JPEG", quality=85)

    def _key(self, source: Source, digest: str) -> str:
        parts = (source.name, digest, self.labeller.labels.fingerprint, self.labeller.model)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]

    def _read_done(self) -> dict[str, Labelled]:
        path = self.folder / _STATE
        done: dict[str, Labelled] = {}
        if not path.is_file():
            return done
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                table = json.loads(line)
                done[table["key"]] = labelled_of(table)
            except (json.JSONDecodeError, KeyError, TypeError, ValueError):
                continue  # the last line of a run that was killed while writing
        return done
