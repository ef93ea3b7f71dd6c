"""Numbers of lists in letters, Roman and Chinese numerals."""

from __future__ import annotations

from collections.abc import Callable

_ROMAN = dict(
    zip(
        (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1),
        "m cm d cd c xc l xl x ix v iv i".split(),
        strict=True,
    )
)
_CHINESE = "零一二三四五六七八九"
_HEAVENLY = "甲乙丙丁戊己庚辛壬癸"


def letters(number: int) -> str:
    """Returns a, b, ..., z, aa, ab as web pages count; "" below 1."""
    text = ""
    while number > 0:
        number, rest = divmod(number - 1, 26)
        text = chr(97 + rest) + text
    return text


def roman(number: int) -> str:
    """Returns i, ii, iii, iv; plain digits where there is no such numeral."""
    if not 0 < number < 4000:
        return str(number)
    text = ""
    for value, sign in _ROMAN.items():
        text += sign * (number // value)
        number %= value
    return text


def chinese(number: int) -> str:
    """Returns 一, 二, ..., 十, 十一, 二十; plain digits from 100 on."""
    if not 0 <= number < 100:
        return str(number)
    tens, ones = divmod(number, 10)
    if not tens:
        return _CHINESE[ones]
    return ("" if tens == 1 else _CHINESE[tens]) + "十" + (_CHINESE[ones] if ones else "")


def _word_letters(number: int) -> str:
    """Returns a, ..., z, aa, bb as Word counts."""
    rounds, rest = divmod(max(number, 1) - 1, 26)
    return chr(97 + rest) * (rounds + 1)


def _circled(number: int) -> str:
    return chr(0x2460 + number - 1) if 1 <= number <= 20 else str(number)


# Word's number formats; those that are not here are shown in digits
WORD: dict[str, Callable[[int], str]] = {
    "decimal": str,
    "decimalZero": lambda number: f"{number:02d}",
    "lowerLetter": _word_letters,
    "upperLetter": lambda number: _word_letters(number).upper(),
    "lowerRoman": roman,
    "upperRoman": lambda number: roman(number).upper(),
    "ordinal": lambda number: f"{number}.",
    "chineseCounting": chinese,
    "chineseCountingThousand": chinese,
    "ideographDigital": chinese,
    "japaneseCounting": chinese,
    "taiwaneseCountingThousand": chinese,
    "ideographTraditional": lambda number: (
        _HEAVENLY[number - 1] if 1 <= number <= 10 else str(number)
    ),
    "decimalEnclosedCircle": _circled,
    "decimalEnclosedCircleChinese": _circled,
    "decimalEnclosedParen": lambda number: f"({number})",
    "decimalFullWidth": str,
    "numberInDash": lambda number: f"- {number} -",
}


def html_number(number: int, kind: str) -> str:
    """Returns the number of a list's item: `kind` is 1, a, A, i or I as in HTML."""
    if kind in ("a", "A") and number > 0:
        text = letters(number)
    elif kind in ("i", "I"):
        text = roman(number)
    else:
        return str(number)
    return text.upper() if kind.isupper() else text
