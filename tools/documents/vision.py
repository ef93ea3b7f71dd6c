"""Pages read by a vision model: scans, and figures on pages of typed text.

Off unless a reader is given (`DocumentIndex(reader="vision:dashscope:qwen3-vl-plus")`): pictures of
pages then leave the machine for the model's endpoint. What a model read is marked so. An answer is
kept in the user's cache folder by the picture and the model, so no page is asked for twice.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

from qwenbelt.core.errors import ConfigError, EndpointError, one_line
from qwenbelt.core.processes.reader_threads import reader_threads
from qwenbelt.core.settings import load_settings
from qwenbelt.tools.documents.model import Box, Page, PagePicture
from qwenbelt.tools.documents.notes import noted
from qwenbelt.tools.documents.parsing.model_answers import (
    ReadByModel,
    append_to_page,
    put_on_page,
    seen_in,
)
from qwenbelt.tools.documents.search.embedding import key_for, named_service
from qwenbelt.tools.documents.search.http_post import post
from qwenbelt.tools.images import ocr_cache
from qwenbelt.tools.images.picture_size import family_of, smart_resize

KIND = "vision"
MAX_PIXELS = 2_000_000  # of a page: A4 at 144 dpi
MAX_TOKENS = 8192  # of an answer
SECONDS = 240.0  # for one page
CONCURRENCY = 4  # pages asked for at the same time
FIGURE = "Figure, read by a model:"
_FORM = 1  # raised when requests, or what is kept of answers, change
_PAGE_REFUSED = (400, 413, 422)  # statuses by which an endpoint refuses one page


class Answer(NamedTuple):
    """What a model said of a picture.

    Attributes:
        text: in its document form.
        units: how many units of its boxes the picture is wide and high.
        is_cut: whether it had more to say than it may.
    """

    text: str
    units: tuple[float, float]
    is_cut: bool = False


class PageReader(Protocol):
    """Reads pictures of pages.

    Attributes:
        name: shown to people; it and the picture are the key of the cache.
    """

    name: str

    def read(self, picture: bytes) -> Answer:
        """Returns what a PNG shows."""
        ...


class EndpointPageReader:
    """Asks a model at an OpenAI-compatible endpoint for Qwen-VL's document form.

    Args:
        model: its name there.
        url: the base URL, which ends in /v1.
        key: the API key, or "".
        fine: whether to ask DashScope for the picture's full resolution.
    """

    def __init__(self, model: str, url: str, *, key: str = "", fine: bool = False) -> None:
        self.name = model
        self._url, self._key, self._fine = f"{url.rstrip('/')}/chat/completions", key, fine
        self._family = family_of(model)

    def read(self, picture: bytes) -> Answer:
        """Returns what a PNG shows; from the cache where it was asked for before.

        Raises:
            EndpointError: the endpoint refuses or cannot be reached, after some tries.
        """
        data, size = self._sized(picture)
        parts = f"{_FORM} {self._url} {self.name}\0".encode() + data
        key = hashlib.sha256(parts).hexdigest()
        kept = ocr_cache.load(key, KIND)
        if not (isinstance(kept, dict) and isinstance(kept.get("text"), str)):
            kept = self._ask(data)
            ocr_cache.save(key, kept, KIND)
        units = size if self._family.convention == "resized" else (1000.0, 1000.0)
        return Answer(kept["text"], units, bool(kept.get("cut")))

    def _sized(self, picture: bytes) -> tuple[bytes, tuple[float, float]]:
        """Returns the picture in a size that the model's preprocessor leaves as it is."""
        from PIL import Image

        with Image.open(io.BytesIO(picture)) as image:
            size = smart_resize(image.size, self._family.factor, MAX_PIXELS)
            target = io.BytesIO()
            image.convert("RGB").resize(size).save(target, "PNG")
        return target.getvalue(), (float(size[0]), float(size[1]))

    def _ask(self, picture: bytes) -> dict[str, Any]:
        prompt = "QwenVL HTML" if self._family.convention == "resized" else "qwenvl html"
        address = f"data:image/png;base64,{base64.b64encode(picture).decode('ascii')}"
        content = [
            {"type": "image_url", "image_url": {"url": address}},
            {"type": "text", "text": prompt},
        ]
        body = {
            "model": self.name,
            "messages": [{"role": "user", "content": content}],
            "temperature": 0,
            "max_tokens": MAX_TOKENS,
        }
        if self._fine:
            body["vl_high_resolution_images"] = True
        answer = post(self._url, body, self._key, seconds=SECONDS)
        try:
            choice = answer["choices"][0]
            text, cut = choice["message"]["content"], choice.get("finish_reason") == "length"
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise EndpointError(f"{self._url}: the answer holds no message.") from error
        if not isinstance(text, str):
            raise EndpointError(f"{self._url}: the answer holds no text.")
        return {"text": text, "cut": cut}


def page_reader(spec: str | PageReader | None) -> PageReader | None:
    """Returns what a spec names: "vision:KIND:MODEL[@URL]", or "vision" for the set endpoint.

    Raises:
        ConfigError: it is not understood, or a key is missing.
    """
    if spec is None or not isinstance(spec, str):
        return spec
    kind, _, named = spec.partition(":")
    named = named or load_settings().endpoint or ""
    if kind != KIND or not named:
        raise ConfigError(
            f"The reader {spec!r} is not understood.",
            fix="For example vision:dashscope:qwen3-vl-plus",
        )
    service_kind, service, model, url = named_service(named, "reading pages")
    key = key_for(service_kind, service, url)
    return EndpointPageReader(model, url, key=key, fine=service_kind == "dashscope")


def reader_key(reader: PageReader) -> str:
    """Returns what distinguishes contents read by this model from the same read otherwise."""
    return f".{KIND}-{hashlib.sha256(reader.name.encode()).hexdigest()[:8]}"


def read_by(reader: PageReader, pages: Iterable[Page]) -> Iterator[Page]:
    """Yields pages in their order, with what a model has to read read by it.

    Raises:
        EndpointError: the endpoint cannot be reached, or refuses the first page that it is asked.
    """
    worked = False
    with reader_threads(CONCURRENCY) as threads:
        for page, asked in _ahead(threads, reader, pages):
            for part, answer in zip(page.pictures, asked, strict=True):
                worked = _put(page, part, answer, reader.name, worked=worked)
            page.pictures = []
            yield page


def _ahead(
    threads: ThreadPoolExecutor, reader: PageReader, pages: Iterable[Page]
) -> Iterator[tuple[Page, list[Future[Answer]]]]:
    """Yields pages with what is asked for them; a few later ones are asked for meanwhile."""
    waiting: deque[tuple[Page, list[Future[Answer]]]] = deque()
    for page in pages:
        asked = [threads.submit(reader.read, part.png) for part in page.pictures]
        waiting.append((page, asked))
        while len(waiting) > CONCURRENCY:
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()


def _put(page: Page, part: PagePicture, asked: Future[Answer], name: str, *, worked: bool) -> bool:
    """Puts an answer on its page, with notes; returns whether the endpoint works."""
    try:
        answer = asked.result()
    except EndpointError as error:
        if error.status not in _PAGE_REFUSED or not worked:
            raise
        _tell(
            page, noted(f"A picture; the model {name} refused to read it: {one_line(error, 160)}")
        )
        return worked
    region = part.box or Box(0.0, 0.0, page.width, page.height)
    seen = seen_in(answer.text, region, answer.units, page.number)
    if not seen.text.strip():
        _tell(page, noted(f"A picture; the model {name} found no text in it."))
    elif part.box is None:
        put_on_page(page, seen)
        _tell(page, noted(f"Read by the model {name} from a picture of the page, not typed text."))
    else:
        seen_first = ReadByModel()
        seen_first.add(FIGURE, region)
        append_to_page(page, seen_first)
        append_to_page(page, seen)
        _tell(page, noted(f"Figures on it were read by the model {name}."))
    if answer.is_cut:
        _tell(page, noted("The model's answer was cut off: the end may be missing."))
    return True


def _tell(page: Page, note: str) -> None:
    if note not in page.notes:
        page.notes.append(note)
