"""Comparing what a model wrote with what is in the problem."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W_]+(?:\.\d+)?|[+\-*/=<>^()]")
_LONGEST = 600  # tokens that are compared
_OVERLAP = 6  # tokens by which an echo of the beginning is recognised
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:\s*/\s*\d+)?")
_SAID = re.compile(r"(?:answer(?: is)?|答案(?:是|为)?)\s*[:：=]?\s*(.+)", re.IGNORECASE)


def comparison_tokens(text: str) -> list[str]:
    """Returns words, numbers, operators and Chinese characters, in lower case."""
    return _TOKEN.findall(text.lower())[:_LONGEST]


def without_echo(written: str, start: str) -> list[str]:
    """Returns the tokens of a continuation, without the beginning that a model may repeat."""
    found, end = comparison_tokens(written), comparison_tokens(start)[-_OVERLAP:]
    for place in range(len(found) - len(end) + 1) if len(end) == _OVERLAP else ():
        if found[place : place + len(end)] == end:
            return found[place + len(end) :]
    return found


def is_exact(written: Sequence[str], rest: Sequence[str]) -> bool:
    """Returns whether a continuation begins with the whole rest, word by word."""
    return bool(rest) and list(written[: len(rest)]) == list(rest)


def rouge_l(written: Sequence[str], rest: Sequence[str]) -> float:
    """Returns ROUGE-L (Lin 2004) of a continuation cut to the rest's length: F1 of the LCS."""
    cut = written[: len(rest)]
    if not cut or not rest:
        return 0.0
    common = _common_subsequence(cut, rest)
    return 2 * common / (len(cut) + len(rest))


def _common_subsequence(one: Sequence[str], two: Sequence[str]) -> int:
    """Returns the length of the longest common subsequence."""
    row = [0] * (len(two) + 1)
    for token in one:
        before = 0
        for place, other in enumerate(two, 1):
            above = row[place]
            row[place] = before + 1 if token == other else max(above, row[place - 1])
            before = above
    return row[-1]


def answer_in(text: str) -> str:
    """Returns a reply's answer: what is boxed, else called the answer, else the last number."""
    boxed = _boxed(text)
    if boxed is not None:
        return boxed
    said = _SAID.findall(text)
    if said:
        return str(said[-1])
    numbers = _NUMBER.findall(text)
    return str(numbers[-1]) if numbers else text


def _boxed(text: str) -> str | None:
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, first = 1, start + len("\\boxed{")
    for place in range(first, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[first:place]
    return text[first:]


def same_answer(given: str, right: str) -> bool:
    """Returns whether two answers are equal, as numbers or as text."""
    one, two = _value(given), _value(answer_in(right) if "\\boxed" in right else right)
    if isinstance(one, Fraction) and isinstance(two, Fraction):
        return one == two
    return str(one) == str(two)


def _value(text: str) -> Fraction | str:
    plain = text.strip().strip("$ .。").replace(",", "").replace("−", "-")
    plain = re.sub(r"\\[dt]?frac\{(-?\d+)\}\{(\d+)\}", r"\1/\2", plain)
    try:
        return Fraction(plain.replace(" ", ""))
    except (ValueError, ZeroDivisionError):
        return re.sub(r"[\s\\{}$]|\\left|\\right", "", plain).casefold()
