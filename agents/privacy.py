"""A hook that keeps personal data from the model: it reads placeholders in their place.

    agent = FnCallAgent([...], hooks=[MaskPersonalData()])

Masked is what has a form that can be checked: e-mail addresses, telephone numbers, payment cards
(Luhn), IBANs (mod 97), Chinese identity numbers (their check digit) and US social security numbers.
Names and addresses have no such form and are not found: list them as `words`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from qwenbelt.agents.hooks import Hook, HookAnswer, HookCall, HookRequest

_EMAIL = r"[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"
_IBAN = r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"
_CHINESE = r"(?<!\d)\d{17}[\dXx](?!\d)"
_CARD = r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)"
_SOCIAL = r"(?<![\d-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])"
_PHONE = (
    r"(?<![\w.+-])(?:\+\d{1,3}[ -]?(?:\(\d{1,4}\)[ -]?)?\d{2,4}(?:[ -]?\d{2,4}){1,4}"
    r"|1[3-9]\d{9}|\(\d{3}\) ?\d{3}-\d{4}|\d{3}-\d{3}-\d{4})(?![\w-])"
)
_PLACEHOLDER = re.compile(r"\[(?:EMAIL|IBAN|ID|CARD|PHONE|SECRET)_\d+\]")
_MOST = 100_000  # placeholders of one hook


class MaskPersonalData(Hook):
    """Puts placeholders such as [EMAIL_1] in the place of personal data in what the model reads.

    Tools are called with the real values, and the answer has them again.

    Args:
        words: further texts that must not go out, such as names.
        restore: whether the answer has the real values; False leaves the placeholders.
    """

    def __init__(self, words: Iterable[str] = (), *, restore: bool = True) -> None:
        self._restore = restore
        self._lock = threading.Lock()
        self._placeholders: dict[str, str] = {}
        self._values: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        longest_first = sorted({word for word in words if word.strip()}, key=len, reverse=True)
        self._words = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def before_model(self, request: HookRequest) -> HookRequest:
        """Masks all texts of the messages."""
        request.messages = [self._masked(message) for message in request.messages]
        return request

    def before_tool(self, call: HookCall) -> HookCall:
        """Gives the tool the real values."""
        call.arguments = self._changed(call.arguments, self.unmask)
        return call

    def before_answer(self, answer: HookAnswer) -> HookAnswer:
        """Gives the person the real values."""
        return HookAnswer(self.unmask(answer.text)) if self._restore else answer

    def mask(self, text: str) -> str:
        """Returns a text with placeholders for what is personal."""
        if self._words is not None:
            text = self._words.sub(lambda found: self._placeholder("SECRET", found[0]), text)
        for kind, pattern, right in _KINDS:
            text = pattern.sub(
                lambda found, kind=kind, right=right: (  # type: ignore[misc]
                    self._placeholder(kind, found[0]) if right(found[0]) else found[0]
                ),
                text,
            )
        return text

    def unmask(self, text: str) -> str:
        """Returns a text with the real values in the place of placeholders."""
        return _PLACEHOLDER.sub(lambda found: self._values.get(found[0], found[0]), text)

    def _masked(self, message: dict[str, Any]) -> dict[str, Any]:
        out = dict(message)
        for key in ("content", "tool_calls", "reasoning_content"):
            if key in out:
                out[key] = self._changed(out[key], self.mask)
        return out

    def _changed(self, value: Any, change: Any) -> Any:
        if isinstance(value, str):
            return value if value.startswith("data:") else change(value)
        if isinstance(value, list):
            return [self._changed(one, change) for one in value]
        if isinstance(value, Mapping):
            kept = ("id", "type", "name", "image_url", "input_audio", "video_url")
            return {
                key: one if change == self.mask and key in kept else self._changed(one, change)
                for key, one in value.items()
            }
        return value

    def _placeholder(self, kind: str, value: str) -> str:
        with self._lock:
            known = self._placeholders.get(value)
            if known is None:
                self._counts[kind] = self._counts.get(kind, 0) + 1
                known = f"[{kind}_{self._counts[kind]}]"
                if len(self._values) < _MOST:  # beyond, it stays masked for good
                    self._placeholders[value], self._values[known] = known, value
            return known


def _only_digits(text: str) -> list[int]:
    return [int(char) for char in text if char.isdecimal()]


def _passes_luhn(text: str) -> bool:
    digits = _only_digits(text)[::-1]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return any(digits) and (sum(digits[::2]) + doubled) % 10 == 0


def _is_iban(text: str) -> bool:
    plain = text.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    moved = plain[4:] + plain[:4]
    return int("".join(str(int(char, 36)) for char in moved)) % 97 == 1


def _is_chinese_id(text: str) -> bool:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(digit) * weight for digit, weight in zip(text, weights, strict=False))
    return "10X98765432"[total % 11] == text[-1].upper()


def _is_phone_number(text: str) -> bool:
    return 8 <= len(_only_digits(text)) <= 15


_KINDS = (
    ("EMAIL", re.compile(_EMAIL), lambda text: True),
    ("IBAN", re.compile(_IBAN), _is_iban),
    ("ID", re.compile(_CHINESE), _is_chinese_id),
    ("CARD", re.compile(_CARD), _passes_luhn),
    ("ID", re.compile(_SOCIAL), lambda text: True),
    ("PHONE", re.compile(_PHONE), _is_phone_number),
)
