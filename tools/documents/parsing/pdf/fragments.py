"""Characters become fragments: runs of text on one baseline without a wide gap.

Text that runs downwards or upwards is laid out in its own frame, turned upright; see `Frame`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from qwenbelt.tools.documents.model import Box
from qwenbelt.tools.documents.parsing.pdf.pdfium import Characters, Floats, has_ink
from qwenbelt.tools.documents.parsing.pdf.raised_text import SMALLER, may_hold_scripts, with_scripts

WIDE_GAP = 1.2  # of the line's height; a wider gap separates columns or cells
TOUCHING = 0.12  # of the line's height; letters that are nearer belong to one word
BASELINE_DRIFT = 0.5  # of the line's height; sub- and superscripts stay within
_HYPHENS = (0x02, 0xFFFE)  # pdfium's marks for a hyphen that it found at a line's end
_JOINED_HYPHEN = re.compile("(?<=[a-z])[\ufffe\x02](?=[a-z])")
_SURROGATES = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u00ad\ufeff\ufffe\uffff]")


MAX_TURNED_HEADING = 60  # characters; longer lines are a page's text that was turned


@dataclass(slots=True)
class Fragment:
    """A run of characters on one baseline.

    Attributes:
        text: its characters with single spaces.
        x0: left edge in points; `top`, `x1`, `bottom` alike, in the frame's coordinates.
        hyphen: whether it ends with a hyphen where the line was broken.
        order: its place in the order of the content.
        place: its first character's number in pdfium's list of the page.
        spaced: whether the producer wrote a space after it.
        height: of its line in points.
        middle: its vertical centre in points.
    """

    text: str
    x0: float
    top: float
    x1: float
    bottom: float
    hyphen: bool
    order: int
    place: int = -1
    spaced: bool = False
    height: float = field(init=False)
    middle: float = field(init=False)

    def __post_init__(self) -> None:
        self.height = self.bottom - self.top
        self.middle = (self.top + self.bottom) / 2


class Frame:
    """Coordinates in which text runs from left to right; maps boxes back to the page.

    `turn` is 0 for upright text, 1 for text that runs downwards, 2 for text that is upside down,
    3 for text that runs upwards.
    """

    def __init__(self, turn: int, width: float, height: float) -> None:
        self.turn, self.width, self.height = turn, width, height

    def upright(self, boxes: Floats) -> Floats:
        """Returns the boxes of the page in this frame."""
        if self.turn == 1:
            columns = (boxes[:, 1], self.width - boxes[:, 2], boxes[:, 3], self.width - boxes[:, 0])
        elif self.turn == 3:
            columns = (
                self.height - boxes[:, 3],
                boxes[:, 0],
                self.height - boxes[:, 1],
                boxes[:, 2],
            )
        else:
            return boxes
        stacked: Floats = np.stack(columns, axis=1)
        return stacked

    def on_page(self, box: Box) -> Box:
        """Returns a box of this frame in the page's coordinates."""
        x0, top, x1, bottom = box
        if self.turn == 1:
            return Box(self.width - bottom, x0, self.width - top, x1)
        if self.turn == 2:
            return Box(self.width - x1, self.height - bottom, self.width - x0, self.height - top)
        if self.turn == 3:
            return Box(top, self.height - x1, bottom, self.height - x0)
        return box


def taken_into(cells: Sequence[Box], frame: Frame, fragments: list[Fragment]) -> list[Fragment]:
    """Takes out those of a turned frame's fragments that stand in cells, and returns them upright.

    Headings of narrow columns are turned; they belong to their cells, not behind the table.
    """
    found: list[Fragment] = []
    for fragment in list(fragments):
        box = frame.on_page(Box(fragment.x0, fragment.top, fragment.x1, fragment.bottom))
        is_short = len(fragment.text) <= MAX_TURNED_HEADING
        if is_short and any(_is_inside(box, cell) for cell in cells):
            fragments.remove(fragment)
            moved = replace(fragment, x0=box.x0, top=box.top, x1=box.x1, bottom=box.bottom)
            found.append(moved)
    return found


def _is_inside(box: Box, cell: Box) -> bool:
    return (
        cell.x0 - 1 <= box.x0
        and box.x1 <= cell.x1 + 1
        and cell.top - 1 <= box.top
        and box.bottom <= cell.bottom + 1
    )


def split_by_direction(
    characters: Characters, width: float, height: float
) -> list[tuple[Frame, Characters]]:
    """Returns the characters by the direction in which their text runs, upright ones first."""
    codes, boxes = characters.codes, characters.boxes
    turns = _turns(codes, boxes)
    if not turns.any():
        return [(Frame(0, width, height), characters)]
    found = []
    for turn in (0, 1, 3):
        chosen = turns == turn
        if turn == 0 or chosen.any():
            frame = Frame(turn, width, height)
            part = characters.chosen(chosen)
            part.boxes = frame.upright(part.boxes)
            found.append((frame, part))
    return found


def _turns(codes: npt.NDArray[np.uint32], boxes: Floats) -> npt.NDArray[np.int8]:
    """Says for each character how its run is turned; runs of fewer than 4 count as upright."""
    turns = np.zeros(len(codes), np.int8)
    inked = np.flatnonzero(has_ink(codes) & (boxes[:, 2] > boxes[:, 0]))
    if len(inked) < 4:
        return turns
    x = (boxes[inked, 0] + boxes[inked, 2]) / 2
    y = (boxes[inked, 1] + boxes[inked, 3]) / 2
    size = np.maximum(boxes[inked, 3] - boxes[inked, 1], boxes[inked, 2] - boxes[inked, 0])
    across, down = np.diff(x), np.diff(y)
    near = np.abs(down) < 2.5 * np.maximum(size[1:], 1)
    vertical = near & (np.abs(across) < 0.25 * np.abs(down)) & (np.abs(down) > 0.5)
    if not vertical.any():
        return turns
    steps = np.where(vertical, np.where(down > 0, 1, 3), 0).astype(np.int8)
    bounds = np.flatnonzero(np.diff(steps)) + 1
    for first, last in zip(np.r_[0, bounds], np.r_[bounds, len(steps)], strict=True):
        if steps[first] and last - first >= 3:
            turns[inked[first] : inked[last] + 1] = steps[first]
    return turns


def fragments_of(characters: Characters, cells: Sequence[Box] = ()) -> list[Fragment]:
    """Returns the fragments of one frame in the order of the content.

    Args:
        characters: those of the frame.
        cells: cells of tables; a fragment ends where the next one begins, however near it is.
    """
    codes, boxes = characters.codes, characters.boxes
    inked = np.flatnonzero(
        has_ink(codes) & ((boxes[:, 2] > boxes[:, 0]) | (boxes[:, 3] > boxes[:, 1]))
    )
    if not len(inked):
        return []
    hyphens = (codes == _HYPHENS[0]) | (codes == _HYPHENS[1])
    known = np.where(hyphens, np.uint32(ord("-")), np.where(codes > 0x10FFFF, 0xFFFD, codes))
    text = known.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
    broken = _breaks(codes, boxes, inked, hyphens)
    if cells:
        broken |= _at_rules(codes[inked], boxes[inked], cells)
    starts = np.r_[0, np.flatnonzero(broken) + 1]
    ends = np.r_[starts[1:], len(inked)] - 1
    placed = boxes[inked]
    corners = np.stack(
        [
            np.minimum.reduceat(placed[:, 0], starts),
            np.minimum.reduceat(placed[:, 1], starts),
            np.maximum.reduceat(placed[:, 2], starts),
            np.maximum.reduceat(placed[:, 3], starts),
        ],
        axis=1,
    ).tolist()
    uneven = may_hold_scripts(placed, starts).tolist()
    found = []
    for order, (first, last) in enumerate(zip(inked[starts], inked[ends], strict=True)):
        part = text[first : last + 1]
        if uneven[order] and len(part) == last + 1 - first:
            part = with_scripts(part, boxes[first : last + 1])
        words = clean(part).split()
        if words:
            x0, top, x1, bottom = corners[order]
            joined = " ".join(words)
            place = int(characters.places[first])
            spaced = text[last + 1 : last + 2] == " "
            found.append(
                Fragment(joined, x0, top, x1, bottom, bool(hyphens[last]), order, place, spaced)
            )
    return found


def _breaks(
    codes: npt.NDArray[np.uint32],
    boxes: Floats,
    inked: npt.NDArray[np.intp],
    hyphens: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """Says after which inked characters a fragment ends."""
    newlines = np.cumsum((codes == 10) | (codes == 13))[inked]
    placed = boxes[inked]
    height = np.maximum(placed[:, 3] - placed[:, 1], 1.0)
    middle = (placed[:, 1] + placed[:, 3]) / 2
    lower, higher = np.minimum(height[1:], height[:-1]), np.maximum(height[1:], height[:-1])
    gap = np.maximum(placed[1:, 0] - placed[:-1, 2], placed[:-1, 0] - placed[1:, 2])
    drifted = np.abs(np.diff(middle)) > BASELINE_DRIFT * np.where(lower > 0.4 * higher, lower, 0)
    # fonts with a height per glyph: a hyphen or a full stop is within its neighbour's
    overlap = np.minimum(placed[1:, 3], placed[:-1, 3]) - np.maximum(placed[1:, 1], placed[:-1, 1])
    tall = placed[:, 3] - placed[:, 1]
    within = overlap >= 0.9 * np.minimum(tall[1:], tall[:-1])
    drifted &= ~within | (np.abs(np.diff(placed[:, 3])) > 0.32 * higher)
    script = (lower < SMALLER * higher) & (lower > 0.4 * higher) & (overlap > 0.25 * lower)
    script &= (gap < TOUCHING * higher) & (placed[1:, 0] > placed[:-1, 0])
    drifted &= ~script
    broken: npt.NDArray[np.bool_] = (
        ((np.diff(newlines) > 0) & ~script)
        | hyphens[inked][:-1]
        | drifted
        | (gap > WIDE_GAP * higher)
    )
    return broken


def _at_rules(
    codes: npt.NDArray[np.uint32], boxes: Floats, cells: Sequence[Box]
) -> npt.NDArray[np.bool_]:
    """Says after which characters another cell begins; never inside a word that runs over."""
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    places = np.zeros(len(codes), np.int32)
    for number, cell in enumerate(cells, 1):
        inside = (x >= cell.x0) & (x < cell.x1) & (y >= cell.top) & (y < cell.bottom)
        places[inside] = number
    other: npt.NDArray[np.bool_] = places[1:] != places[:-1]
    if not other.any():
        return other
    touching = boxes[1:, 0] - boxes[:-1, 2] < TOUCHING * (boxes[1:, 3] - boxes[1:, 1])
    for at in np.flatnonzero(other & touching):
        if chr(min(codes[at], 0xFFFF)).isalpha() and chr(min(codes[at + 1], 0xFFFF)).islower():
            other[at] = False
    return other


def clean(text: str) -> str:
    """Returns text without control characters; surrogate pairs become one character."""
    text = _CONTROL.sub("", text)
    if _SURROGATES.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def without_marks(text: str) -> str:
    """Returns text of pdfium without its marks for hyphens at line ends, words joined."""
    if "\ufffe" in text or "\x02" in text:
        text = _JOINED_HYPHEN.sub("", text).replace("\ufffe", "-").replace("\x02", "-")
    return clean(text)
