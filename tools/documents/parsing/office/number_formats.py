"""Numbers as spreadsheets show them: percent, currency, leading zeros, durations, dates, fractions.

The codes are those of Office Open XML (18.8.31): up to four sections for positive, negative, zero
and text; conditions; literals; digits; dates. Widths of blanks and colours are left out. The short
date of the person's own settings is shown as ISO writes it, since those settings are unknown.
"""

from __future__ import annotations

import datetime
import functools
import re
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import NamedTuple

_SECTION = re.compile(r'(?:"[^"]*"|\\.|\[[^\]]*\]|[_*].|[^;])+|(?<=;)(?=;)|^(?=;)')
_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|[_*].|\[(?P<bracket>[^\]]*)\]|(?P<general>General)'
    r"|(?P<ampm>AM/PM|A/P|上午/下午)|(?P<exponent>E[+-])|(?P<date>y+|m+|d+|h+|s+|e+|g+|aaaa?|b+)"
    r"|(?P<digit>[0#?])|(?P<sign>[.,%/@])|(?P<other>.)",
    re.I | re.S,
)
_CONDITION = re.compile(r"(<=|>=|<>|<|>|=)\s*(-?\d+(?:\.\d+)?)")
_OF_THE_PERSON = {"mm-dd-yy": "yyyy-mm-dd", "m/d/yy h:mm": "yyyy-mm-dd hh:mm"} | {
    "[$-F800]": "yyyy-mm-dd",
    "[$-F400]": "hh:mm:ss",
}
_MONTHS = (
    "January February March April May June July August September October November December".split()
)
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_CHINESE_DAYS = "一二三四五六日"
MAX_DIGITS = 30


class Token(NamedTuple):
    """A piece of a code: its kind and its text."""

    kind: str
    text: str


class Section(NamedTuple):
    """One section of a code."""

    tokens: tuple[Token, ...]
    condition: tuple[str, Decimal] | None
    is_date: bool


def shown(value: float, code: str, epoch: datetime.datetime | None = None) -> str:
    """Returns a number as a code shows it.

    Args:
        value: the stored number; days for dates and times.
        code: the number format.
        epoch: what day 0 is; 1899-12-30 without it.
    """
    given = next((iso for own, iso in _OF_THE_PERSON.items() if code.startswith(own)), code)
    try:
        sections = _sections(given)
        number = Decimal(repr(float(value)))
        section, number = _chosen(sections, number)
        if section.is_date:
            return _date(section, float(value), epoch or datetime.datetime(1899, 12, 30))
        return _number(section, number)
    except (ValueError, ArithmeticError, IndexError):
        return general(value)


def general(value: float) -> str:
    """Returns a number in plain digits, as exact as it is stored."""
    if float(value).is_integer() and abs(value) < 1e15:
        return str(int(value))
    text = f"{value:.15g}"
    return text.replace("e+", "E+").replace("e-", "E-")


def is_date(code: str) -> bool:
    """Returns whether a code shows dates or times."""
    return any(section.is_date for section in _sections(code))


@functools.lru_cache(maxsize=2000)
def _sections(code: str) -> tuple[Section, ...]:
    found = [_section(part) for part in _SECTION.findall(code)[:4]]
    return tuple(found) or (_section("General"),)


def _section(text: str) -> Section:
    tokens: list[Token] = []
    condition = None
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        piece = match[kind] if kind else ""
        if kind in ("quoted", "escaped", "other"):
            tokens.append(Token("literal", piece))
        elif kind == "bracket":
            condition = _bracket(piece, tokens) or condition
        elif kind:
            tokens.append(Token(kind, piece))
    dates = any(t.kind in ("date", "elapsed", "ampm") for t in tokens)
    numbers = any(t.kind in ("digit", "general") for t in tokens)
    only_zeros = all(t.text == "0" for t in tokens if t.kind == "digit")
    return Section(tuple(tokens), condition, dates and (not numbers or only_zeros))


def _bracket(text: str, tokens: list[Token]) -> tuple[str, Decimal] | None:
    """Takes in what is in brackets: a currency, an elapsed time; or returns a condition."""
    if text.startswith("$"):
        symbol = text[1:].partition("-")[0]
        if symbol:
            tokens.append(Token("literal", symbol))
    elif re.fullmatch(r"h+|m+|s+", text, re.I):
        tokens.append(Token("elapsed", text.lower()))
    elif found := _CONDITION.fullmatch(text):
        return found[1], Decimal(found[2])
    return None


def _chosen(sections: tuple[Section, ...], number: Decimal) -> tuple[Section, Decimal]:
    """Returns the section for a number, and the number without its sign where that shows it."""
    for at, section in enumerate(sections[:3]):
        if section.condition is not None and _meets(number, *section.condition):
            negative = number < 0 and at > 0
            return section, -number if negative else number
    plain = [s for s in sections[:3] if s.condition is None]
    if len(sections) == 1 or not plain:
        return sections[0], number
    if any(s.condition for s in sections):
        return plain[-1], number
    if number < 0:
        return sections[1], -number
    if number == 0 and len(sections) > 2:
        return sections[2], number
    return sections[0], number


def _meets(number: Decimal, sign: str, limit: Decimal) -> bool:
    return {
        "<": number < limit,
        ">": number > limit,
        "<=": number <= limit,
        ">=": number >= limit,
        "=": number == limit,
        "<>": number != limit,
    }[sign]


def _number(section: Section, number: Decimal) -> str:
    tokens = section.tokens
    if any(t.kind == "general" for t in tokens):
        return _filled(tokens, "general", general(float(number)))
    if any(t.text == "@" and t.kind == "sign" for t in tokens):
        return general(float(number))
    places = [n for n, t in enumerate(tokens) if t.kind == "digit"]
    if not places:
        sign = "-" if number < 0 and tokens else ""
        return sign + "".join(t.text for t in tokens if t.kind == "literal" or t.text == "%")
    number = number.scaleb(2 * sum(t.text == "%" for t in tokens))
    if any(t.kind == "exponent" for t in tokens):
        return _scientific(tokens, number)
    if any(t.text == "/" for t in tokens[places[0] : places[-1]]):
        return _fraction(tokens, number)
    return _decimal(tokens, number, places)


def _filled(tokens: tuple[Token, ...], kind: str, text: str) -> str:
    return "".join(text if t.kind == kind else t.text for t in tokens).strip()


def _decimal(tokens: tuple[Token, ...], number: Decimal, places: list[int]) -> str:
    """Fills the places of digits; commas after the last place divide by thousands."""
    last = places[-1]
    point = next((n for n, t in enumerate(tokens) if t.text == "." and t.kind == "sign"), None)
    end = point if point is not None else last + 1
    commas = [n for n, t in enumerate(tokens) if t.text == "," and t.kind == "sign"]
    whole = [n for n in places if n < end]
    grouped = any(whole and whole[0] < n < whole[-1] for n in commas)
    scale = sum(1 for n in commas if not whole or n > whole[-1])
    number = number.scaleb(-3 * scale)
    parts = [n for n in places if point is not None and n > point]
    rounded = abs(number).quantize(Decimal(1).scaleb(-min(len(parts), MAX_DIGITS)), ROUND_HALF_UP)
    digits, _, fraction = f"{rounded:f}".partition(".")
    least = sum(1 for n in whole if tokens[n].text == "0")
    digits = digits.lstrip("0").rjust(least, "0")
    for n in reversed(parts):  # zeros that "#" does not show
        if tokens[n].text == "0" or not fraction.endswith("0"):
            break
        fraction = fraction[:-1]
    texts = _spread(digits, whole, grouped)
    texts |= {n: fraction[i : i + 1] for i, n in enumerate(parts)}
    out = []
    for n, token in enumerate(tokens):
        if token.kind == "digit":
            out.append(texts.get(n, ""))
        elif token.kind == "sign" and token.text in ",/@":
            continue
        elif n == point:
            out.append("." if fraction else "")
        else:
            out.append(token.text)
    sign = "-" if number < 0 and rounded else ""
    return sign + "".join(out).strip()


def _spread(digits: str, whole: list[int], grouped: bool) -> dict[int, str]:
    """Returns which digits are in which place: one in each from the right, the rest in the first.

    Literals between the places stay between digits: 0000-0000.
    """
    texts: dict[int, str] = {}
    rest, count = digits, 0
    for n in reversed(whole):
        take = rest if n == whole[0] else rest[-1:]
        rest = "" if n == whole[0] else rest[:-1]
        text = ""
        for digit in reversed(take):
            text = digit + ("," if grouped and count and count % 3 == 0 else "") + text
            count += 1
        texts[n] = text
    return texts


def _scientific(tokens: tuple[Token, ...], number: Decimal) -> str:
    at = next(n for n, t in enumerate(tokens) if t.kind == "exponent")
    mantissa = "".join(t.text for t in tokens[:at] if t.kind in ("digit", "sign"))
    before, _, after = mantissa.partition(".")
    exponent = number.adjusted() if number else 0
    step = max(len(before), 1)
    exponent -= exponent % step if step > 1 else 0
    scaled = number.scaleb(-exponent).quantize(Decimal(1).scaleb(-len(after)), ROUND_HALF_UP)
    width = sum(1 for t in tokens[at:] if t.kind == "digit")
    sign = "-" if exponent < 0 else "+" if tokens[at].text.endswith("+") else ""
    return f"{scaled:f}E{sign}{abs(exponent):0{width}d}"


def _fraction(tokens: tuple[Token, ...], number: Decimal) -> str:
    at = next(n for n, t in enumerate(tokens) if t.text == "/" and t.kind == "sign")
    fixed = re.match(r"\d+", "".join(t.text for t in tokens[at + 1 :] if t.kind != "sign"))
    below = sum(1 for t in tokens[at + 1 :] if t.kind == "digit")
    whole = int(abs(number))
    rest = Fraction(abs(number) - whole)
    if fixed and int(fixed[0]) > 0:
        bottom = int(fixed[0])
        top = round(rest * bottom)
    else:
        near = rest.limit_denominator(10 ** min(max(below, 1), 6) - 1)
        top, bottom = near.numerator, near.denominator
    if top == bottom:
        whole, top = whole + 1, 0
    mixed = any(t.kind == "digit" for t in tokens[: max(at - 1, 0)]) and any(
        t.kind == "literal" and t.text.isspace() for t in tokens[:at]
    )
    if not mixed:
        top, whole = top + whole * bottom, 0
    parts = [str(whole)] if whole or not top else []
    parts += [f"{top}/{bottom}"] if top else []
    return ("-" if number < 0 else "") + " ".join(parts)


def _date(section: Section, value: float, epoch: datetime.datetime) -> str:
    seconds = round(value * 86400, 3)
    tokens = section.tokens
    zeros = sum(1 for t in tokens if t.kind == "digit")
    if not zeros and not any(t.kind == "sign" and t.text == "." for t in tokens):
        seconds = float(round(seconds))
    if any(t.kind == "elapsed" for t in tokens):
        return _elapsed(tokens, seconds)
    if value < 0:
        raise ValueError("a date before the first day")
    days, rest = divmod(seconds, 86400)
    if epoch.year == 1899 and days < 60:
        days += 1  # the 29th of February 1900, which spreadsheets believe in
    moment = epoch + datetime.timedelta(days=days if value >= 1 else int(days), seconds=rest)
    return "".join(_date_piece(tokens, n, moment, rest) for n in range(len(tokens))).strip()


def _date_piece(tokens: tuple[Token, ...], n: int, moment: datetime.datetime, rest: float) -> str:
    token = tokens[n]
    zeros = sum(1 for t in tokens if t.kind == "digit")
    if token.kind == "date":
        half = any(t.kind == "ampm" for t in tokens)
        minutes = token.text[0] in "mM" and _is_minutes(tokens, n)
        return _moment(token.text.lower(), moment, half, minutes)
    if token.kind == "ampm":
        return _half_day(token.text, moment)
    if token.kind == "digit":
        return ""
    if token.text == "." and token.kind == "sign" and zeros:
        return f".{round((rest % 1) * 10**zeros):0{zeros}d}"
    return token.text if token.kind != "sign" or token.text in ".,/%" else ""


def _half_day(text: str, moment: datetime.datetime) -> str:
    first, _, second = text.partition("/")
    return second if moment.hour >= 12 else first


def _is_minutes(tokens: tuple[Token, ...], at: int) -> bool:
    """Returns whether an m after hours or before seconds means minutes."""
    parts = [n for n, t in enumerate(tokens) if t.kind in ("date", "elapsed")]
    place = parts.index(at)
    before = tokens[parts[place - 1]].text.lower() if place else ""
    after = tokens[parts[place + 1]].text.lower() if place + 1 < len(parts) else ""
    return len(tokens[at].text) < 3 and (before.startswith("h") or after.startswith("s"))


def _moment(text: str, moment: datetime.datetime, half: bool, minutes: bool) -> str:
    kind, length = text[0], len(text)
    if kind == "m" and minutes:
        return f"{moment.minute:0{min(length, 2)}d}"
    if kind == "m" and length > 2:
        name = _MONTHS[moment.month - 1]
        return name[:1] if length == 5 else name[:3] if length == 3 else name
    if kind == "d" and length > 2:
        name = _DAYS[moment.weekday()]
        return name[:3] if length == 3 else name
    if kind == "a":
        day = _CHINESE_DAYS[moment.weekday()]
        return day if length == 3 else f"星期{day}"
    hour = (moment.hour % 12 or 12) if half else moment.hour
    values = {"y": moment.year, "e": moment.year, "m": moment.month, "d": moment.day} | {
        "h": hour,
        "s": moment.second,
    }
    if kind in "gb":
        return ""
    if kind == "y" and length <= 2:
        return f"{moment.year % 100:02d}"
    return str(values[kind]) if kind in "ye" else f"{values[kind]:0{min(length, 2)}d}"


def _elapsed(tokens: tuple[Token, ...], seconds: float) -> str:
    """Shows hours, minutes or seconds that do not wrap around: 30:15."""
    total = abs(seconds)
    counted = next(t.text[0] for t in tokens if t.kind == "elapsed")
    zeros = sum(1 for t in tokens if t.kind == "digit")
    values = {"h": int(total // 3600), "m": int(total // 60), "s": int(total)}
    inside = {"h": int(total // 3600), "m": int(total // 60) % 60, "s": int(total) % 60}
    out = []
    for token in tokens:
        if token.kind == "elapsed":
            out.append(f"{values[counted]:0{len(token.text)}d}")
        elif token.kind == "date":
            out.append(f"{inside.get(token.text[0].lower(), 0):0{min(len(token.text), 2)}d}")
        elif token.text == "." and zeros:
            out.append(f".{round((total % 1) * 10**zeros):0{zeros}d}")
        elif token.kind == "literal":
            out.append(token.text)
    return ("-" if seconds < 0 else "") + "".join(out)
