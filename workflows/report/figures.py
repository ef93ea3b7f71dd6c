"""Figures of a report: pictures that tools made, copied into its folder and numbered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from qwenbelt.core.errors import InputError, QwenbeltError
from qwenbelt.core.files import replacing_file
from qwenbelt.core.language import Language
from qwenbelt.tools.diagrams import drawn_diagram
from qwenbelt.workflows.report.folder import FIGURES
from qwenbelt.workflows.report.prose import Node, plain_text
from qwenbelt.workflows.report.strings import say

LARGEST_PIXELS = 60_000_000
MOST_DIAGRAMS = 20


@dataclass(frozen=True)
class Picture:
    """A picture that a tool made.

    Attributes:
        path: where it is.
        caption: what it shows, if the call gave one.
        meant: whether it was made to be shown (a chart), and not in passing.
    """

    path: Path
    caption: str = ""
    meant: bool = False


class Gallery:
    """Places pictures into a report.

    Args:
        pictures: what tools made, by file name.
        stage: the report's folder.

    Attributes:
        missing: names that the answer shows and no tool has made.
        published: the new place of each picture, relative to the report's folder, by its path.
    """

    def __init__(self, pictures: Mapping[str, Picture], stage: Path, language: Language) -> None:
        self._pictures = dict(pictures)
        self._stage = stage
        self._language = language
        self.missing: list[str] = []
        self._diagrams = 0
        self.published: dict[Path, str] = {}

    def place(self, blocks: list[Node]) -> list[Node]:
        """Returns the blocks with figures numbered and copied; unknown ones are left out."""
        return list(self._placed(blocks))

    def rest(self) -> list[Node]:
        """Returns charts that the answer does not show, as figures under a heading."""
        left = [
            name
            for name, picture in self._pictures.items()
            if picture.meant and picture.path not in self.published
        ]
        figures = [self._figure(name, []) for name in left]
        if not figures:
            return []
        heading = {"kind": "text", "text": say("figures", self._language)}
        return [{"kind": "heading", "level": 2, "inline": [heading]}, *figures]

    def add(self, picture: Path, caption: list[Node], *, framed: bool = False) -> Node:
        """Returns the figure of one more picture."""
        name = f"{len(self._pictures)}-{picture.name}"
        self._pictures[name] = Picture(picture)
        return {**self._figure(name, caption), "framed": framed}

    def _placed(self, blocks: list[Node]) -> Iterator[Node]:
        for block in blocks:
            if block["kind"] == "figure":
                yield from self._known(block)
            elif block["kind"] == "code" and block.get("language") == "mermaid":
                yield self._diagram(block)
            elif block["kind"] == "list":
                yield {**block, "items": [list(self._placed(item)) for item in block["items"]]}
            elif block["kind"] == "quote":
                yield {**block, "blocks": list(self._placed(block["blocks"]))}
            else:
                yield block

    def _diagram(self, block: Node) -> Node:
        """Returns a diagram in Mermaid as a figure; the block as it is where it is not drawn."""
        self._diagrams += 1
        try:
            svg = drawn_diagram(block["text"]) if self._diagrams <= MOST_DIAGRAMS else ""
        except QwenbeltError:  # not installed, or no diagram: its source is shown
            svg = ""
        if not svg:
            return block
        number = len(self.published) + 1
        path = f"{FIGURES}/figure-{number}-diagram.svg"
        with replacing_file(self._stage / path) as file:
            file.write(svg.encode("utf-8"))
        self.published[self._stage / path] = path
        label = say("figure", self._language, n=number)
        caption: list[Node] = []
        return {
            "kind": "figure",
            "path": path,
            "n": number,
            "label": label,
            "caption": caption,
            "alt": label,
            "source": block["text"],
        }

    def _known(self, block: Node) -> Iterator[Node]:
        name = Path(str(block["name"]).replace("\\", "/")).name
        picture = self._pictures.get(name)
        if picture is None:
            self.missing.append(name or "?")
        elif picture.path not in self.published:
            yield self._figure(name, block["caption"])

    def _figure(self, name: str, caption: list[Node]) -> Node:
        picture = self._pictures[name]
        number = len(self.published) + 1
        path = f"{FIGURES}/figure-{number}-{_short(picture.path.stem)}.png"
        _copy(picture.path, self._stage / path)
        self.published[picture.path] = path
        if not plain_text(caption).strip() and picture.caption:
            caption = [{"kind": "text", "text": picture.caption}]
        label = say("figure", self._language, n=number)
        return {
            "kind": "figure",
            "path": path,
            "n": number,
            "label": label,
            "caption": caption,
            "alt": plain_text(caption) or label,
        }


def _short(stem: str) -> str:
    kept = "".join(c if c.isalnum() or c in "-_" else "-" for c in stem)
    return kept[:48].strip("-_") or "picture"


def _copy(source: Path, target: Path) -> None:
    """Copies a picture as PNG, reading it whole, so that only a picture can end up there.

    Raises:
        InputError: it is no picture, or too large.
    """
    from PIL import Image, UnidentifiedImageError

    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with Image.open(source) as picture:
            if picture.width * picture.height > LARGEST_PIXELS:
                raise InputError(f"{source.name}: the picture is too large.")
            is_png = picture.format == "PNG"
            if is_png:
                picture.verify()
            with replacing_file(target) as file:
                if is_png:
                    file.write(source.read_bytes())
                else:
                    picture.convert("RGB").save(file, "PNG")
    except (UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise InputError(f"{source.name}: is not a picture that can be read.") from error


def is_picture(path: Path) -> bool:
    """Returns whether a file is a picture of a reasonable size."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.width * picture.height <= LARGEST_PIXELS and picture.format in (
                "PNG",
                "JPEG",
                "WEBP",
                "GIF",
            )
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
