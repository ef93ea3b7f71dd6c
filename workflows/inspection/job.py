"""A whole inspection: many pictures side by side, kept as it goes, resumed where it stopped."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.core.errors import EndpointError, InputError, QwenbeltError, one_line
from qwenbelt.core.files import output_folder, replacing_file
from qwenbelt.workflows.inspection.asking import Inspector
from qwenbelt.workflows.inspection.marking import marked_copy, save_crop
from qwenbelt.workflows.inspection.rules import Inspected, inspected_of
from qwenbelt.workflows.inspection.sources import PictureSource, open_source
from qwenbelt.workflows.pictures import IN_FLIGHT, STATE, Health, for_each_source, read_done

if TYPE_CHECKING:
    from PIL.Image import Image

_PAGE_SIDE, _THUMB_SIDE = 1100, 360  # pixels; 160 an inch on a page


@dataclass
class Inspection:
    """A finished inspection: the pictures in the order given, and where its files are."""

    pictures: list[Inspected]
    folder: Path
    model: str


class InspectionJob:
    """Inspects pictures and keeps each result as soon as it is there.

    Args:
        inspector: whom to ask.
        folder: where annotated copies and the record of finished pictures are kept.
        in_flight: pictures that are asked about at the same time.
        allow_private: whether addresses may be private; the settings decide when None.
    """

    def __init__(
        self,
        inspector: Inspector,
        folder: Path,
        *,
        in_flight: int = IN_FLIGHT,
        allow_private: bool | None = None,
    ) -> None:
        self.inspector = inspector
        self.folder = output_folder(folder)
        for name in ("annotated", "shown", "copies", "thumbnails"):
            output_folder(self.folder / name)
        self._asking = asyncio.Semaphore(in_flight)
        # a few more are opened or drawn meanwhile, so that the endpoint does not wait for that
        self._slots = asyncio.Semaphore(in_flight + max(2, in_flight // 2))
        self._allow_private = allow_private
        self._done = read_done(self.folder / STATE, inspected_of)
        self._health = Health()

    async def run(
        self, sources: Sequence[PictureSource], progress: Callable[[Inspected], None] | None = None
    ) -> Inspection:
        """Inspects the pictures; one bad picture never ends the run.

        Raises:
            EndpointError: the endpoint fails from the beginning.
        """
        with (self.folder / STATE).open("a", encoding="utf-8") as record:

            def work(source: PictureSource, stem: str) -> Awaitable[Inspected]:
                return self._one(source, stem, record)

            pictures = await for_each_source(sources, work, self._slots, progress)
        return Inspection(pictures, self.folder, self.inspector.model)

    async def _one(self, source: PictureSource, stem: str, record: Any) -> Inspected:
        try:
            picture, digest = await asyncio.to_thread(
                open_source, source, allow_private=self._allow_private
            )
        except QwenbeltError as error:
            return Inspected(source.name, False, one_line(error), time=source.time)
        key = self._key(source, digest)
        known = self._done.get(key)
        if known is not None and all((self.folder / f).is_file() for f in known.files.values()):
            return known
        found = await self._ask(source, picture)
        if found.ok:
            files = await asyncio.to_thread(self._draw, picture, found, stem)
            found = replace(found, files=files)
            record.write(json.dumps({"key": key, **found.to_dict()}, ensure_ascii=False) + "\n")
            record.flush()
        else:
            files = await asyncio.to_thread(self._keep_copies, picture, stem)
            found = replace(found, files=files)
        return found

    async def _ask(self, source: PictureSource, picture: Image) -> Inspected:
        name, size = source.name, picture.size
        try:
            async with self._asking:
                answer = await self.inspector.look(picture)
        except InputError as error:
            self._health.answered()
            return Inspected(name, False, one_line(error), size=size, time=source.time)
        except EndpointError as error:
            self._health.failed(error)
            return Inspected(name, False, one_line(error), size=size, time=source.time)
        self._health.answered()
        return Inspected(name, True, "", answer.objects, answer.notes, size, source.time)

    def _key(self, source: PictureSource, digest: str) -> str:
        parts = (
            source.name,
            digest,
            self.inspector.rules.fingerprint,
            self.inspector.model,
            self.inspector.convention,
            str(self.inspector.second_look),
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]

    def _draw(self, picture: Image, found: Inspected, stem: str) -> dict[str, str]:
        files = self._keep_copies(picture, stem)
        marked = marked_copy(picture, found, self.inspector.rules, self.inspector.language)
        files["annotated"] = self._save(marked, "annotated", stem, None)
        files["shown"] = self._save(marked, "shown", stem, _PAGE_SIDE)
        if found.objects:
            self._save(marked, "thumbnails", stem, _THUMB_SIDE)
        for entry in found.objects:
            kept = replace(found, files=files)
            save_crop(picture, kept, entry, self.inspector.rules, self.folder)
        return files

    def _keep_copies(self, picture: Image, stem: str) -> dict[str, str]:
        return {
            "copy": self._save(picture, "copies", stem, _PAGE_SIDE),
            "thumbnail": self._save(picture, "thumbnails", stem, _THUMB_SIDE),
        }

    def _save(self, picture: Image, kind: str, stem: str, side: int | None) -> str:
        out = picture
        if side is not None and max(picture.size) > side:
            out = picture.copy()
            out.thumbnail((side, side))
        name = f"{kind}/{stem}.jpg"
        with replacing_file(self.folder / name) as file:
            out.save(file, "JPEG", quality=88)
        return name
