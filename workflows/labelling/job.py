"""Labelling many pictures side by side, kept as it goes, resumed where it stopped."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from qwenbelt.core.errors import EndpointError, QwenbeltError, one_line
from qwenbelt.core.files import output_folder, replacing_file
from qwenbelt.workflows.inspection.sources import PictureSource, open_source
from qwenbelt.workflows.labelling.asking import Labelled, Labeller, labelled_of
from qwenbelt.workflows.pictures import IN_FLIGHT, STATE, Health, for_each_source, read_done

if TYPE_CHECKING:
    from PIL.Image import Image

_THUMB_SIDE = 360


class LabellingJob:
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
        self._done = read_done(self.folder / STATE, labelled_of)
        self._health = Health()

    async def run(
        self, sources: Sequence[PictureSource], progress: Callable[[Labelled], None] | None = None
    ) -> list[Labelled]:
        """Labels the pictures, in the order given; one bad picture never ends the run.

        Raises:
            EndpointError: the endpoint fails from the beginning.
        """
        with (self.folder / STATE).open("a", encoding="utf-8") as record:

            def work(source: PictureSource, stem: str) -> Awaitable[Labelled]:
                return self._one(source, stem, record)

            return await for_each_source(sources, work, self._slots, progress)

    async def _one(self, source: PictureSource, stem: str, record: IO[str]) -> Labelled:
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
            self._health.failed(error)
            return Labelled(source.name, False, one_line(error), doubtful=True)
        self._health.answered()
        if found.ok:
            line = {"key": key, **found.to_dict()}
            record.write(json.dumps(line, ensure_ascii=False) + "\n")
            record.flush()
        return found

    def _keep_thumbnail(self, picture: Image, stem: str) -> None:
        picture.thumbnail((_THUMB_SIDE, _THUMB_SIDE))
        with replacing_file(self.folder / "thumbnails" / f"{stem}.jpg") as file:
            picture.save(file, "JPEG", quality=85)

    def _key(self, source: PictureSource, digest: str) -> str:
        parts = (source.name, digest, self.labeller.labels.fingerprint, self.labeller.model)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
