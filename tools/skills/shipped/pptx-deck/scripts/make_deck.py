"""Makes a PowerPoint deck of a report in Markdown."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

try:
    from pptx import Presentation
    from pptx.util import Inches, Pt
except ImportError:
    sys.exit('python-pptx is missing: pip install "qwenbelt[skills]"')

MOST_BULLETS, MOST_CELLS = 6, 12
_PICTURE = re.compile(r"!\[([^\]]*)\]\(<?([^)>\s]+)[^)]*\)")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])|(?<=[。！？])")


@dataclass
class Slide:
    """What comes under a heading."""

    title: str
    texts: list[str] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)
    pictures: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing comes under the heading."""
        return not (self.texts or self.tables or self.pictures)


def plain(text: str) -> str:
    """Returns text without Markdown's marks."""
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text)
    return re.sub(r"(\*\*|__|`|(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w))", "", text).strip()


def cells(line: str) -> list[str]:
    """Returns the cells of a row."""
    parts = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    return [plain(part.replace("\\|", "|")) for part in parts]


def read(text: str, title: str) -> list[Slide]:
    """Returns the slides of a report."""
    slides = [Slide(title)]
    table: list[list[str]] | None = None
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        heading = None if fenced else re.match(r"(#{1,6})\s+(.*)", line)
        if heading and len(heading[1]) == 1 and len(slides) == 1 and slides[0].is_empty:
            slides[0].title = title or plain(heading[2])
        elif heading and len(heading[1]) <= 2:
            slides.append(Slide(plain(heading[2])))
            table = None
        elif not fenced and line.strip().startswith("|"):
            row = cells(line)
            if not all(re.fullmatch(r":?-+:?", cell) for cell in row):
                if table is None:
                    table = []
                    slides[-1].tables.append(table)
                table.append(row)
        else:
            table = None
            slides[-1].pictures += [(name, path) for name, path in _PICTURE.findall(line)]
            words = plain(re.sub(r"^\s*(?:[-*+]|\d+[.)])\s+", "", _PICTURE.sub("", line)))
            if words:
                slides[-1].texts.append(words)
    return [slide for slide in slides if not slide.is_empty or slide is slides[0]]


def bullets(texts: list[str]) -> list[str]:
    """Returns one sentence a line."""
    return [part.strip() for text in texts for part in _SENTENCE.split(text) if part.strip()]


def make(slides: list[Slide], folder: Path, out: Path) -> list[str]:
    """Writes the deck; returns what was left out."""
    deck, notes = Presentation(), []
    first = deck.slides.add_slide(deck.slide_layouts[0])
    first.shapes.title.text = slides[0].title
    opening = bullets(slides[0].texts)
    if len(opening) <= 2:
        first.placeholders[1].text, slides[0].texts = "\n".join(opening), []
    for slide in slides:
        lines = bullets(slide.texts)
        for start in range(0, len(lines), MOST_BULLETS):
            page = deck.slides.add_slide(deck.slide_layouts[1])
            page.shapes.title.text = slide.title + (" (…)" if start else "")
            frame = page.placeholders[1].text_frame
            for place, line in enumerate(lines[start : start + MOST_BULLETS]):
                paragraph = frame.paragraphs[0] if place == 0 else frame.add_paragraph()
                paragraph.text = line
                paragraph.font.size = Pt(20 if len(line) < 120 else 16)
            page.notes_slide.notes_text_frame.text = "\n".join(slide.texts)
        for table in slide.tables:
            page = deck.slides.add_slide(deck.slide_layouts[5])
            page.shapes.title.text = slide.title
            notes += put_table(page, table, slide.title)
        for name, path in slide.pictures:
            notes += put_picture(deck, slide.title, name, path, folder)
    deck.save(str(out))
    return notes


def put_table(page: object, table: list[list[str]], title: str) -> list[str]:
    """Puts a table on a slide; returns what was left out."""
    rows, columns = table[: MOST_CELLS + 1], min(max(map(len, table)), MOST_CELLS)
    place = (Inches(0.5), Inches(1.6), Inches(9), Inches(0.3 * len(rows)))
    shown = page.shapes.add_table(len(rows), columns, *place).table  # type: ignore[attr-defined]
    for y, row in enumerate(rows):
        for x in range(columns):
            cell = shown.cell(y, x)
            cell.text = row[x] if x < len(row) else ""
            cell.text_frame.paragraphs[0].font.size = Pt(12)
    more = len(table) - len(rows)
    return [f"{title}: {more} rows of a table are not on the slide."] if more else []


def put_picture(deck: object, title: str, name: str, path: str, folder: Path) -> list[str]:
    """Puts a picture on a slide; returns what was left out."""
    file = (folder / path).resolve()
    if not file.is_file() or not file.is_relative_to(folder.resolve()):
        return [f"{title}: the picture {path} is not there."]
    page = deck.slides.add_slide(deck.slide_layouts[5])  # type: ignore[attr-defined]
    page.shapes.title.text = name or title
    try:
        picture = page.shapes.add_picture(str(file), Inches(1), Inches(1.6), height=Inches(5))
    except (OSError, ValueError) as error:
        return [f"{title}: the picture {path} cannot be used ({error})."]
    if picture.width > Inches(9):
        picture.height = int(picture.height * Inches(9) / picture.width)
        picture.width = Inches(9)
        picture.left = Inches(0.5)
    return []


def main() -> None:
    """Reads the command line and makes the deck."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    parser.add_argument("--out", type=Path, default=Path("deck.pptx"))
    parser.add_argument("--title", default="")
    given = parser.parse_args()
    text = given.report.read_text(encoding="utf-8-sig")
    slides = read(text, given.title)
    slides[0].title = slides[0].title or given.report.stem
    notes = make(slides, given.report.resolve().parent, given.out)
    deck = Presentation(str(given.out))
    print(f"{given.out}: {len(deck.slides)} slides")
    for number, page in enumerate(deck.slides, 1):
        print(f"{number}. {page.shapes.title.text}")
    for note in notes:
        print(f"Left out: {note}")


if __name__ == "__main__":
    main()
