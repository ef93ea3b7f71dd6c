"""The problems of a probe: those that are tested, and fresh ones that no model can have seen."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import InputError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.limits import input_file
from qwenbelt.workflows.probe.comparing import comparison_tokens

_PROBLEM_NAMES = ("problem", "question", "prompt", "text")
_ANSWER_NAMES = ("answer", "solution", "target", "label")
_SHORTEST_REST = 5  # words; a shorter rest is guessed too easily
_OPERATORS = ("+", "-", "*")


@dataclass(frozen=True)
class Problem:
    """A problem and its answer; "" when the answer is not known."""

    text: str
    answer: str = ""

    def cut(self, share: float) -> tuple[str, str]:
        """Returns the first share of the text and the rest, cut between words."""
        place = round(len(self.text) * share)
        while 0 < place < len(self.text) and _inside_word(self.text, place):
            place -= 1
        return self.text[:place].rstrip(), self.text[place:].strip()

    def is_long_enough(self, share: float) -> bool:
        """Returns whether the text after the cut is too long to be written by chance."""
        start, rest = self.cut(share)
        return bool(start) and len(comparison_tokens(rest)) >= _SHORTEST_REST


def _inside_word(text: str, place: int) -> bool:
    around = text[place - 1 : place + 1]
    return re.fullmatch(r"[A-Za-z0-9\\]{2}", around) is not None


def read_problems(path: str | Path) -> list[Problem]:
    """Returns the problems of a JSONL file: `problem` (or `question`) and `answer` a line.

    Raises:
        InputError: a line is not a problem; the message names it.
    """
    file = input_file(path)
    found: list[Problem] = []
    with file.open(encoding="utf-8-sig", errors="replace") as text:
        for number, line in enumerate(text, 1):
            if line.strip():
                found.append(_problem(line, f"{path}:{number}"))
    if not found:
        raise InputError(f"{path}: holds no problems.")
    return found


def _problem(line: str, place: str) -> Problem:
    try:
        table = loads_bounded(line)
    except ValueError as error:
        raise InputError(f"{place}: is not JSON.") from error
    text = _first(table, _PROBLEM_NAMES) if isinstance(table, dict) else ""
    if not text:
        raise InputError(f'{place}: has no "problem" (or "question").')
    return Problem(text, _first(table, _ANSWER_NAMES))


def _first(table: Mapping[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        if table.get(name) not in (None, "") and isinstance(table[name], (str, int, float)):
            return str(table[name]).strip()
    return ""


def fresh_problems(count: int, seed: int | None = None) -> list[Problem]:
    """Returns arithmetic problems made now; the end of each is needed to know its answer."""
    source = random.Random(seed)
    return [_fresh(source) for _ in range(count)]


def _fresh(source: random.Random) -> Problem:
    terms = [f"{source.randint(11, 99)}"]
    value = Fraction(terms[0])
    for _ in range(source.randint(9, 14)):
        operator = source.choice(_OPERATORS)
        number = source.randint(2, 9) if operator == "*" else source.randint(11, 999)
        if operator == "*":
            terms = ["(", *terms, ")", "*", str(number)]
            value *= number
        else:
            terms += [operator, str(number)]
            value = value + number if operator == "+" else value - number
    return Problem(
        f"Evaluate this expression and give its exact value: {' '.join(terms)}", f"{value}"
    )
