"""Asking a vision model for the label of one picture, several times if wanted."""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwenbelt.agents import Budget, FnCallAgent
from qwenbelt.core.errors import EndpointError, InputError, one_line
from qwenbelt.core.events import Done
from qwenbelt.core.language import Language
from qwenbelt.tools.images.picture import open_picture
from qwenbelt.tools.images.picture_size import smart_resize
from qwenbelt.workflows.inspection.sources import as_jpeg
from qwenbelt.workflows.labelling.labels import Labels
from qwenbelt.workflows.labelling.strings import labelling_prompt, text_hint

if TYPE_CHECKING:
    from PIL.Image import Image

_PICTURE_PIXELS = 1280 * 28 * 28
_EXAMPLE_PIXELS = 512 * 512
_HINT_LINES = 40


@dataclass(frozen=True)
class Vote:
    """One answer: the labels, sorted, and why."""

    labels: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Labelled:
    """What became of one picture.

    Attributes:
        labels: those that most votes gave; empty when no answer could be read.
        agreement: the share of all votes that gave exactly these labels, from 0 to 1.
        votes: how often each set of labels was given.
        unread: answers that could not be read.
    """

    image: str
    ok: bool
    error: str = ""
    labels: tuple[str, ...] = ()
    reason: str = ""
    agreement: float = 0.0
    votes: tuple[tuple[tuple[str, ...], int], ...] = ()
    unread: int = 0
    doubtful: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        return {
            "image": self.image,
            "ok": self.ok,
            "error": self.error or None,
            "labels": list(self.labels),
            "reason": self.reason,
            "agreement": round(self.agreement, 3),
            "votes": [[list(names), count] for names, count in self.votes],
            "unread": self.unread,
            "doubtful": self.doubtful,
        }


def labelled_of(table: dict[str, Any]) -> Labelled:
    """Returns a labelled picture from its JSON form."""
    return Labelled(
        table["image"],
        table["ok"],
        table.get("error") or "",
        tuple(table["labels"]),
        table["reason"],
        table["agreement"],
        tuple((tuple(names), count) for names, count in table["votes"]),
        table["unread"],
        table["doubtful"],
    )


class Labeller:
    """Asks one model for labels; may be used for many pictures at once.

    Args:
        llm: an llm dict or endpoint spec of a model that sees pictures.
    """

    def __init__(self, llm: Any, labels: Labels, *, language: Language = "en") -> None:
        self.labels = labels
        self.language: Language = language
        self._agent = FnCallAgent(llm=llm, budget=Budget(model_calls=1))
        self.model = str(self._agent.llm.model)

    async def label(self, name: str, picture: Image) -> Labelled:
        """Returns the label of a picture by majority.

        Raises:
            EndpointError: the endpoint failed.
        """
        hints = await asyncio.to_thread(self._hints, picture)
        url = await asyncio.to_thread(_data_url, picture, _PICTURE_PIXELS)
        votes: list[Vote] = []
        unread = 0
        problem = ""
        for number in range(self.labels.votes):
            try:
                votes.append(await self._vote(url, hints, number))
            except InputError as error:
                unread, problem = unread + 1, error.message
        return self._count(name, votes, unread, problem)

    def _count(self, name: str, votes: list[Vote], unread: int, problem: str) -> Labelled:
        if not votes:
            return Labelled(name, False, problem, unread=unread, doubtful=True)
        counts = Counter(vote.labels for vote in votes)
        winner, most = counts.most_common(1)[0]
        agreement = most / (len(votes) + unread)
        tied = sum(1 for count in counts.values() if count == most) > 1
        reason = next(vote.reason for vote in votes if vote.labels == winner)
        doubtful = tied or agreement < self.labels.agree
        given = tuple(counts.most_common())
        return Labelled(name, True, "", winner, reason, agreement, given, unread, doubtful)

    async def _vote(self, url: str, hints: list[str], number: int) -> Vote:
        # another order of the labels each time: models favour the first and the last
        names = list(self.labels.labels)
        shift = number * max(1, len(names) // 2) % len(names)
        names = names[shift:] + names[:shift]
        question = labelling_prompt(self.labels, names, self.language)
        messages = [message for pair in self._shown(question) for message in pair]
        content = [{"image": url}, {"text": question}]
        if hints:
            content.append({"text": text_hint(hints, self.language)})
        messages.append({"role": "user", "content": content})
        text = ""
        async for event in self._agent.stream(messages, lang=self.language):
            if isinstance(event, Done):
                text = event.text
                if event.reason == "error":
                    raise EndpointError(event.detail)
        return read_vote(text, self.labels)

    def _shown(self, question: str) -> list[list[dict[str, Any]]]:
        shown = []
        for example in self.labels.examples:
            url = _example_url(example.image)
            label: Any = example.names if self.labels.multiple else example.names[0]
            answer = json.dumps({"reason": example.reason, "label": label}, ensure_ascii=False)
            content = [{"image": url}, {"text": question}]
            asked: dict[str, Any] = {"role": "user", "content": content}
            shown.append([asked, {"role": "assistant", "content": answer}])
        return shown

    def _hints(self, picture: Image) -> list[str]:
        if not self.labels.ocr:
            return []
        from qwenbelt.tools.images.reading import read_text

        return [one_line(line.text, 200) for line in read_text(picture)[:_HINT_LINES]]


def read_vote(text: str, labels: Labels) -> Vote:
    """Returns the vote of an answer: its JSON, or the one label that it names.

    Raises:
        InputError: no label, or an unknown one, is in it.
    """
    found = _json_object(text)
    given = found.get("label", found.get("labels")) if found else None
    names = given if isinstance(given, list) else [given] if isinstance(given, str) else []
    known = {_plain(name): name for name in labels.labels}
    chosen = {known[_plain(str(name))] for name in names if _plain(str(name)) in known}
    if not names:
        chosen = {name for plain, name in known.items() if _mentions(text, plain)}
        chosen = chosen if len(chosen) == 1 else set()
    if not chosen or (len(chosen) > 1 and not labels.multiple) or len(chosen) < len(set(names)):
        shown = one_line(text, 120) or "(empty)"
        raise InputError(f"The answer names no label that can be used: {shown}")
    reason = one_line(str(found.get("reason") or ""), 300) if found else one_line(text, 300)
    return Vote(tuple(sorted(chosen)), reason)


def _json_object(text: str) -> dict[str, Any]:
    import json_repair

    start = text.find("{")
    value = json_repair.loads(text[start:]) if start >= 0 else None
    value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, dict) else {}


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-]+", " ", name).strip().casefold()


def _mentions(text: str, plain: str) -> bool:
    folded = _plain(text)
    if plain.isascii():
        return re.search(rf"(?<!\w){re.escape(plain)}(?!\w)", folded) is not None
    return plain in folded


@functools.lru_cache(maxsize=32)
def _example_url(path: str) -> str:
    return _data_url(open_picture(path), _EXAMPLE_PIXELS)


def _data_url(picture: Image, max_pixels: int) -> str:
    try:
        size = smart_resize(picture.size, max_pixels=max_pixels)
    except ValueError as error:
        raise InputError(str(error)) from error
    resized = picture if size == picture.size else picture.resize(size)
    return "data:image/jpeg;base64," + base64.b64encode(as_jpeg(resized)).decode("ascii")
