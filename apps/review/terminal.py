"""A review by keys in the terminal: one picture after the other, the open ones only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from qwenbelt.apps.echo import echo
from qwenbelt.apps.terminal_pictures import show_picture
from qwenbelt.core.errors import QwenbeltError
from qwenbelt.core.language import Language
from qwenbelt.core.terminal import terminal_text
from qwenbelt.workflows.inspection.rules import Found
from qwenbelt.workflows.reviewing.inspections import InspectionReview
from qwenbelt.workflows.reviewing.opening import Review
from qwenbelt.workflows.reviewing.strings import say


class _Stop(Exception):
    """The person wants to end."""


class _Back(Exception):
    """The person wants to see the picture before."""


@dataclass
class TerminalReview:
    """Asks about each picture that is not decided."""

    review: Review
    language: Language

    def run(self) -> None:
        """Asks until all is decided or the person ends it; each decision is kept at once."""
        numbers = [n for n in range(len(self.review)) if not self.review.item(n)["done"]]
        at = 0
        while 0 <= at < len(numbers):
            try:
                self._one(numbers[at])
                at += 1
            except _Back:
                at = max(0, at - 1)
            except _Stop:
                return

    def _say(self, key: str, **values: object) -> str:
        return say(key, self.language, **values)

    def _one(self, number: int) -> None:
        item = self.review.item(number)
        image = terminal_text(item["image"])
        echo(self._say("ask_item", number=number + 1, total=len(self.review), image=image))
        show_picture(self.review.picture(number))
        if isinstance(self.review, InspectionReview):
            self._objects(self.review, number, item)
        else:
            self._labels(number, item)

    # -- labels ---------------------------------------------------------------------------------

    def _labels(self, number: int, item: dict[str, Any]) -> None:
        names = list(self.review.choices)
        chosen = ", ".join(item["labels"])
        echo(terminal_text(f"  {chosen}: {item['reason']}" if item["reason"] else f"  {chosen}"))
        self._list(names)
        key = self._key("ask_label_keys", len(names), "yxsbq")
        if key == "y" and item["labels"]:
            self.review.decide(number, {"final": item["labels"]})
        elif key == "x":
            self.review.decide(number, {"final": []})
        elif key.isdigit():
            self.review.decide(number, {"final": [names[int(key) - 1]]})

    def _list(self, names: list[str]) -> None:
        echo("  " + "  ".join(f"{n}:{terminal_text(name)}" for n, name in enumerate(names[:9], 1)))

    # -- objects --------------------------------------------------------------------------------

    def _objects(self, review: InspectionReview, number: int, item: dict[str, Any]) -> None:
        objects = item["objects"]
        self._list([review.rules.name(name, self.language) for name in review.choices])
        if not objects:
            echo("  " + self._say("empty"))
            key = self._key("ask_keys", len(review.choices), "yxsbq+")
            if key == "y":
                review.decide(number, {"objects": [], "empty": True})
            elif key == "+":
                self._add(review, number, objects)
            return
        at = 0
        while at < len(objects):
            entry = objects[at]
            found = Found(tuple(entry["bbox"]), entry["label"], entry["sub_label"])
            words = review.rules.words(found, self.language)
            box = ", ".join(f"{value:.0f}" for value in entry["bbox"])
            echo(terminal_text(self._say("ask_object", number=at + 1, words=words, box=box)))
            key = self._key("ask_keys", len(review.choices), "yxsbq+")
            if key == "+":
                self._add(review, number, objects)
                continue
            if key == "y":
                entry["verdict"] = entry["verdict"] if entry["verdict"] == "added" else "confirmed"
            elif key == "x":
                entry["verdict"] = "rejected"
            elif key.isdigit():
                label = list(review.choices)[int(key) - 1]
                entry |= {"label": label, "sub_label": self._grade(review, label)}
                entry["verdict"] = "corrected"
            kept = [o for o in objects if o["model"] or o["verdict"] != "rejected"]
            review.decide(number, {"objects": kept})
            at += 1

    def _add(self, review: InspectionReview, number: int, objects: list[dict[str, Any]]) -> None:
        """Asks for a box that the model missed."""
        names = list(review.choices)
        place = click.prompt(self._say("class"), type=click.IntRange(1, len(names)))
        label = names[place - 1]
        box = click.prompt(self._say("ask_box")).replace(",", " ").split()
        entry: dict[str, Any] = {
            "bbox": box,
            "label": label,
            "sub_label": self._grade(review, label),
        }
        entry |= {"verdict": "added", "model": False}
        try:
            review.decide(number, {"objects": [*objects, entry]})
        except QwenbeltError as error:
            echo(f"  {error}", err=True)
            return
        objects.append({**entry, "bbox": [float(value) for value in box]})

    def _grade(self, review: InspectionReview, label: str) -> str:
        grades = review.choices[label]
        if len(grades) < 2:
            return grades[0] if grades else ""
        self._list([review.rules.grade(label, grade, self.language) for grade in grades])
        place = click.prompt(self._say("ask_grade"), type=click.IntRange(1, len(grades)))
        return grades[place - 1]

    def _key(self, text: str, count: int, letters: str) -> str:
        """Returns a key that means something here."""
        last = min(count, 9)
        echo(self._say(text, last=last))
        while True:
            try:
                key = click.getchar()
            except (EOFError, KeyboardInterrupt):
                raise _Stop from None
            if key in ("q", "\x03", "\x04", ""):
                raise _Stop
            if key == "b" and "b" in letters:
                raise _Back
            if key in letters or (key.isdigit() and 1 <= int(key) <= last):
                return key
