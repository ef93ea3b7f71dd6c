"""Bytes become text: by marks, by what is declared as browsers understand it, or by a guess.

Pages that say gb2312 mean GBK or GB 18030, those that say latin-1 mean windows-1252: labels are
read as the WHATWG's standard reads them. A damaged byte costs one character. A guess is reported.
"""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from qwenbelt.tools.documents.notes import noted

_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
# the decoders that browsers use are wider than those that Python knows by the same names
_WIDER = {
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
_DECLARED = re.compile(rb"""<meta[^>]{0,300}?charset\s*=\s*["']?\s*([\w.:-]{2,40})""", re.I)
_XML = re.compile(rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{2,40})""", re.I)
_LOOKED_AT = 4096  # bytes in which a page declares its encoding
_SAMPLE = 200_000
_KANA = re.compile(r"[\u3041-\u30ff]")  # not half-width: those bytes are common in GB 18030
_THAI = re.compile(r"[\u0e01-\u0e5b]")
_CANDIDATES = (
    "gb18030 big5 euc_jp euc_kr cp1251 cp1252 cp1250 cp1253 cp1254 cp1255 cp1256 koi8_r".split()
)
_COMMON = re.compile(
    r"[\t\n\r\x20-\x7e\u3000-\u303f\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff00-\uffef]"
)
# the most frequent characters of Chinese and Japanese, and their signs
_FREQUENT = re.compile(
    "[，。、的一是不了人在有我他这個们中来上大为和国地到以说时要就出会年日のはをにがでと]"
)
_MULTIBYTE = ("gb18030", "big5hkscs", "cp932", "cp949", "euc_jp")
_CYRILLIC = re.compile("[А-яЁё]")
_CAPITAL_INSIDE = re.compile("[а-яё][А-ЯЁ]")
_RESYNC = "qwenbelt.resync"
_AHEAD = 24  # bytes that are looked at after a damaged one
_FEW = 0.02  # of the characters that are not ASCII: this many may be damaged


class Decoded(NamedTuple):
    """Text of bytes, its encoding, and notes about it, one line each."""

    text: str
    encoding: str
    notes: list[str]


def declared_encoding(data: bytes) -> str:
    """Returns the encoding that a page's own markup names, or ""."""
    head = data[:_LOOKED_AT]
    found = _XML.search(head) or _DECLARED.search(head)
    return found[1].decode("ascii", "replace") if found else ""


def decode(data: bytes, declared: str = "") -> Decoded:
    """Returns the text of bytes.

    Args:
        data: the bytes.
        declared: the encoding that a server or the text itself declares, if any.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _decoded(data[len(mark) :], encoding)
    label = known_encoding(declared)
    if label and not label.startswith("utf-16"):  # a page that says so in ASCII is not in it
        found = _decoded(data, label)
        if not found.notes:
            return found
        others = _utf8(data) or _clean_guess(data, label)
        return others or found
    return _escaped_japanese(data) or _utf8(data) or _guessed(data)


def _escaped_japanese(data: bytes) -> Decoded | None:
    """Returns the text of bytes in the encoding of Japanese mail, which is ASCII with escapes."""
    if b"\x1b$" not in data[:_SAMPLE]:
        return None
    found = _decoded(data, "iso2022_jp_2")
    return None if found.notes else Decoded(found.text, "iso-2022-jp", [_guess_note("iso-2022-jp")])


def known_encoding(label: str) -> str:
    """Returns Python's name of the encoding that a label means to browsers, or ""."""
    import webencodings

    found = webencodings.lookup(label.strip()) if label else None
    if found is None:
        return ""
    name = str(found.codec_info.name).lower()
    return _WIDER.get(name.replace("-", "_"), name)


def _utf8(data: bytes) -> Decoded | None:
    wide = _utf16_without_mark(data[:_SAMPLE])
    if wide:
        found = _decoded(data, wide)
        return Decoded(found.text, wide, [_guess_note(wide), *found.notes])
    try:
        return Decoded(data.decode("utf-8"), "utf-8", [])
    except UnicodeDecodeError as error:
        if len(data) > 200 and error.start > 0:  # one damaged byte does not make it another
            text = data.decode("utf-8", "replace")
            found = _with_damage(text, "utf-8")
            return found if _damage(text) <= 5 * _FEW else None
    return None


def _decoded(data: bytes, encoding: str) -> Decoded:
    handler = _RESYNC if encoding in _MULTIBYTE else "replace"
    return _with_damage(data.decode(encoding, handler), encoding)


def _with_damage(text: str, encoding: str) -> Decoded:
    count = text.count("\ufffd")
    note = noted(f"{count} characters could not be decoded as {encoding}.")
    return Decoded(text, encoding, [note] if count else [])


def _damage(text: str) -> float:
    """Returns the share of damaged characters among those that are not ASCII."""
    others = sum(1 for c in text if c > "\x7f")
    return text.count("\ufffd") / others if others else 0.0


def _clean_guess(data: bytes, label: str) -> Decoded | None:
    """Returns a guess where what is declared leaves much damage and the guess leaves none."""
    if _damage(data[:_SAMPLE].decode(label, "replace")) <= _FEW:
        return None
    found = _guessed(data)
    return found if "\ufffd" not in found.text else None


def _guess_note(encoding: str) -> str:
    return noted(f"The text does not say its encoding; it was guessed to be {encoding}.")


def _guessed(data: bytes) -> Decoded:
    encoding = _guess(data[:_SAMPLE])
    found = _decoded(data, encoding)
    return Decoded(found.text, encoding, [_guess_note(encoding), *found.notes])


def _guess(sample: bytes) -> str:
    high = sum(byte >= 0x80 for byte in sample)
    if high < 0.15 * len(sample):
        return "cp1252"  # a few accents: what browsers assume
    if wide := _wide_chinese(sample):
        return wide
    thai = sample.decode("cp874", "replace")
    if "\ufffd" not in thai and _looks_thai(thai, high):
        return "cp874"
    japanese = sample.decode("shift_jis", "ignore")
    if len(_KANA.findall(japanese)) > 0.2 * len(japanese):
        return "cp932"
    if _looks_hebrew(sample, high):
        return "cp1255"
    if _looks_cyrillic(sample, high):
        return "cp1251"
    from charset_normalizer import from_bytes

    short = len(sample) < 60  # too little for statistics
    best = None if short else from_bytes(sample, cp_isolation=_CANDIDATES).best()
    name = best.encoding if best else "gb18030"
    if name == "gb18030" and _is_rather_big5(sample):
        name = "big5"
    return _WIDER.get(name, name)


def _is_rather_big5(sample: bytes) -> bool:
    """Returns whether Big5 reads a text cleanly that GB 18030 reads with private characters."""
    text, other = sample.decode("gb18030", "replace"), sample.decode("big5hkscs", "replace")
    private = sum("\ue000" <= c <= "\uf8ff" or c == "\ufffd" for c in text)
    return private > 0.02 * len(text) and other.count("\ufffd") <= 1


def _looks_hebrew(sample: bytes, high: int) -> bool:
    """Returns whether nearly all that is not ASCII is a Hebrew letter, and enough to say so.

    In Cyrillic the same bytes are small letters, but five of them and all capitals lie beside.
    """
    letters = sum(0xE0 <= byte <= 0xFA for byte in sample)
    beside = sum(byte >= 0xFB or 0xD4 <= byte <= 0xDF for byte in sample)
    return high >= 60 and letters >= 0.97 * high and beside == 0


def _wide_chinese(sample: bytes) -> str:
    """Returns which UTF-16 a text without ASCII and without a mark is in, or ""."""
    sample = sample[: len(sample) & ~1]
    for encoding in ("utf-16-le", "utf-16-be"):
        text = sample.decode(encoding, "replace")
        if len(_COMMON.findall(text)) < 0.98 * len(text):
            continue
        if len(_FREQUENT.findall(text)) > 0.08 * len(text):
            return encoding
    return ""


def _looks_cyrillic(sample: bytes, high: int) -> bool:
    """Returns whether nearly all that is not ASCII is a letter of Windows' Cyrillic, in words.

    In those of another encoding capitals stand inside of words.
    """
    text = sample.decode("cp1251", "replace")
    letters = len(_CYRILLIC.findall(text))
    return letters >= 0.97 * high and len(_CAPITAL_INSIDE.findall(text)) <= 0.01 * letters


def _looks_thai(text: str, high: int) -> bool:
    """Returns whether vowel signs are where Thai has them, and no letters of ours among Thai ones.

    Bytes of Big5 and GBK are Thai letters too, here and there with an ASCII letter.
    """
    signs = sum(1 for c in text if "\u0e31" <= c <= "\u0e3a" or "\u0e47" <= c <= "\u0e4e")
    wrong = len(re.findall(r"(?<![\u0e01-\u0e4e])[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]", text))
    mixed = len(re.findall(r"[\u0e01-\u0e4e][A-Za-z]|[A-Za-z][\u0e01-\u0e4e]", text))
    usual = signs > 0.08 * high and wrong * 50 < signs and mixed < 0.03 * high
    return high > 10 and usual and len(_THAI.findall(text)) >= 0.95 * high


def _utf16_without_mark(sample: bytes) -> str:
    """Returns which UTF-16 a text without a mark is in, or ""."""
    sample = sample[: len(sample) & ~1]
    if len(sample) < 4:
        return ""
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    half = len(sample) // 2
    if odd > 0.3 * half and even < 0.02 * half:
        return "utf-16-le"
    if even > 0.3 * half and odd < 0.02 * half:
        return "utf-16-be"
    if half < 20 or not (b"\n\x00" in sample or b"\x00\n" in sample or b"\x00" in sample):
        return ""
    for encoding in ("utf-16-le", "utf-16-be"):
        text = sample.decode(encoding, "replace")
        if len(_COMMON.findall(text)) > 0.97 * len(text):
            return encoding
    return ""


def _resync(error: UnicodeError) -> tuple[str, int]:
    """Goes on after a damaged byte where what follows is ordinary text.

    The byte after it may begin a character too, or be damaged itself: `FF FE C8 D4` is two bad
    bytes and 仍, not one bad byte and a private character.
    """
    if not isinstance(error, UnicodeDecodeError):
        raise error
    data, start = error.object, error.start
    best, chosen = 1e9, start + 1
    for step in (1, 2, 3):
        ahead = data[start + step : start + step + _AHEAD]
        odd = _oddness(ahead.decode(error.encoding, "replace")) + 0.5 * step
        if odd < best:
            best, chosen = odd, start + step
    return "\ufffd" * (1 if chosen == start + 1 else chosen - start), min(chosen, len(data))


def _oddness(text: str) -> float:
    odd = 0.0
    for c in text[:-1]:  # the last may be cut
        if c == "\ufffd" or "\ue000" <= c <= "\uf8ff":
            odd += 3
        elif not _COMMON.match(c):
            odd += 1
    return odd


codecs.register_error(_RESYNC, _resync)
