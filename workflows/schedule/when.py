"""Turns what people write for a recurring time into a cron expression.

cron_of("every Monday 8:00")  ->  "0 8 * * 1"
cron_of("每个工作日 9:30")     ->  "30 9 * * 1-5"
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

from qwenbelt.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_CHINESE_DAYS = {"日": 0, "天": 0, "一": 1, "二": 2, "三": 3, "四": 4, "五": 5, "六": 6}
_UNITS = {"minute": 60, "hour": 24, "day": 1, "分钟": 60, "小时": 24, "天": 1}
_WORDS = {"noon": "12:00", "midnight": "0:00", "daily": "every day", "hourly": "every hour"}
_WORDS |= {"weekly": "every monday", "monthly": "every month", "weekdays": "weekday"}
_CLOCK = re.compile(
    r"(?:\bat )?(?P<half>上午|早上|下午|晚上)?(?P<hour>\d{1,2})"
    r"(?:[:点](?P<minute>\d{2})?分?|(?= ?[ap]m))(?: ?(?P<suffix>am|pm))?$"
)
_EVERY = re.compile(
    r"(?:every|每隔?) ?(?P<number>\d+)? ?(?:个)?(?P<unit>minute|hour|day|分钟|小时|天)s?"
)
_MONTHLY = re.compile(
    r"(?:every month|每个?月)"
    r"(?: ?(?:on )?(?:the )?(?:day )?(?P<day>\d{1,2})(?:st|nd|rd|th)?[日号]?)?"
)
_WEEKDAY = re.compile(r"every weekday|每个?工作日")
_WEEK = re.compile(
    r"每个?(?:周|星期)(?P<days>[日天一二三四五六]([、，,和及 ]*(?:周|星期)?[日天一二三四五六])*)"
)
_FORMS = 'Write e.g. "every Monday 8:00", "every 15 minutes", or cron: "0 8 * * 1".'


def cron_of(text: str) -> str:
    """Returns the cron expression of what somebody wrote, in English, Chinese or cron.

    Raises:
        InputError: it names no time that comes again.
    """
    plain = " ".join(text.casefold().replace("：", ":").split())
    if re.fullmatch(r"[\d*/,\-a-z#l?]+( [\d*/,\-a-z#l?]+){4,5}", plain) and _is_cron(plain):
        return plain
    for word, meant in _WORDS.items():
        plain = re.sub(rf"\b{word}\b", meant, plain)
    clock = _CLOCK.search(plain)
    head = (plain[: clock.start()] if clock else plain).strip(" ,")
    minute, hour = _time(clock, text) if clock else (0, 0)
    cron = _days(head, minute, hour, clock is not None)
    if cron is None or not _is_cron(cron):
        raise InputError(f"{text!r} names no time that comes again.", fix=_FORMS)
    return cron


def next_times(cron: str, after: datetime, count: int) -> list[datetime]:
    """Returns the next times of a cron expression, in the zone of `after`."""
    return [moment for moment, _ in zip(_times(cron, after), range(count), strict=False)]


def _times(cron: str, after: datetime) -> Iterator[datetime]:
    from croniter import croniter

    times = croniter(cron, after, second_at_beginning=True)
    while True:
        yield times.get_next(datetime)


def _is_cron(text: str) -> bool:
    from croniter import croniter

    return bool(croniter.is_valid(text, second_at_beginning=True))


def _time(clock: re.Match[str], text: str) -> tuple[int, int]:
    hour, minute = int(clock["hour"]), int(clock["minute"] or 0)
    late = clock["suffix"] == "pm" or clock["half"] in ("下午", "晚上")
    if late and hour < 12:
        hour += 12
    elif clock["suffix"] == "am" and hour == 12:
        hour = 0
    if hour > 23 or minute > 59:
        raise InputError(f"{text!r}: there is no such time of day.", fix=_FORMS)
    return minute, hour


def _days(head: str, minute: int, hour: int, has_clock: bool) -> str | None:
    """Returns the expression for the days that the words name, or None."""
    if _WEEKDAY.fullmatch(head):
        return f"{minute} {hour} * * 1-5"
    if found := _MONTHLY.fullmatch(head):
        return f"{minute} {hour} {found['day'] or 1} * *"
    if found := _WEEK.fullmatch(head):
        days = sorted(
            {_CHINESE_DAYS[letter] for letter in found["days"] if letter in _CHINESE_DAYS}
        )
        return f"{minute} {hour} * * {','.join(map(str, days))}"
    if found := _EVERY.fullmatch(head):
        return _every(int(found["number"] or 1), found["unit"], minute, hour, has_clock)
    if head.startswith("every "):
        names = [name.strip() for name in re.split(r",| and ", head.removeprefix("every "))]
        days = sorted({_day(name) for name in names if name})
        return f"{minute} {hour} * * {','.join(map(str, days))}" if days and days[0] >= 0 else None
    return None


def _day(name: str) -> int:
    short = name.removesuffix("s") if len(name) > 4 else name
    fitting = [n for n, day in enumerate(_DAYS) if len(short) >= 3 and day.startswith(short)]
    return fitting[0] if len(fitting) == 1 else -1


def _every(number: int, unit: str, minute: int, hour: int, has_clock: bool) -> str | None:
    most = _UNITS[unit]
    if number < 1 or most % number:  # "*/7" of minutes would start over each hour
        raise InputError(
            f"Every {number} {unit}: times have to come again at the same distance.",
            fix=f"Take a number that divides {most}.",
        )
    step = "*" if number == 1 else f"*/{number}"
    if most == 1:
        return f"{minute} {hour} * * *"
    if has_clock:
        return None
    return f"{step} * * * *" if most == 60 else f"0 {step} * * *"
