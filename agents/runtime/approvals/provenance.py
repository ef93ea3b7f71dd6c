"""Where the words of a conversation come from, and from which of them a call's values were taken.

What the person and the system said is trusted. What a tool returned is not: a page, a document, a
mail or a server may hold orders for the model, and a model may obey them. Labels do not go through
a model, so a call is judged by its values: a target (to whom, where, which) must be in trusted
text, or in a field of a result that its tool vouches for; what is in untrusted text, or, once
there is some, in no text at all, counts as chosen by it.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qwenbelt.agents.runtime.approvals.asked_effects import asks_for, templates_in
from qwenbelt.core.errors import one_line
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.schemas import json_schema

Origin = Literal["person", "system", "document", "page", "server", "tool"]

_MOST_TEXT = 4_000_000  # characters of untrusted text that are looked through; the last ones
_QUOTE = 60  # characters around the words that are shown
_RUN = 24  # characters in a row that make an argument a copy of what was read
# names of arguments that say to whom, where, which, or hand over a key
_TARGETS = re.compile(
    r"(?:^|_)(?:to|cc|bcc|recipients?|addressees?|participants?|attendees?|invitees?|users?|"
    r"usernames?|members?|accounts?|payees?|iban|emails?|mails?|phone|address(?:es)?|channels?|"
    r"rooms?|groups?|urls?|uris?|links?|href|hosts?|domains?|endpoints?|webhooks?|servers?|sites?|"
    r"paths?|files?|filenames?|folders?|director(?:y|ies)|destinations?|targets?|repo(?:sitory)?|"
    r"branch|query|sql|commands?|cmd|script|ids?|keys?|passwords?|secrets?|tokens?|permissions?)$",
    re.IGNORECASE,
)
# what acts as a target wherever it is: addresses of pages and people, numbers of accounts
_ACTING = re.compile(
    r"\b(?:https?://[^\s<>\"'`]+|www\.[^\s<>\"'`]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|"
    r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|org|net|io|cn|de|info|biz|co|app|dev|ai|me|xyz)\b(?:/[^\s<>\"'`]*)?|"
    r"[a-z]{2}\d{2}[a-z0-9]{8,30}|\+?\d[\d -]{9,18}\d)",
    re.IGNORECASE,
)
# arguments that are words for people to read
_WORDS_TO_READ = re.compile(
    r"(?:^|_)(?:body|content|contents|text|message|description|summary|notes?|comments?|subject|"
    r"title|reason)$",
    re.IGNORECASE,
)
# targets that are the person's own places: what is copied there leaks to nobody
_OWN_PLACES = re.compile(
    r"(?:^|_)(?:paths?|files?|filenames?|folders?|director(?:y|ies)|ids?|query|sql)$", re.IGNORECASE
)
_WORDS_TO_FIND = re.compile(r"(?:^|_)(?:query|queries|keywords?)$", re.IGNORECASE)
# numbers that identify one person's papers; no dates
_IDENTIFIER = re.compile(r"\b(?=(?:[\w-]*\d){4})[\w-]{7,}\b")
_FEW_DIGITS = 4
_NUMBERED = r"(?:\bid|#|\bno\.?|\bnumber|\bnr\.?|编号|第)\W{{0,4}}{}\b"
# figures that name nothing: of dates, times, shares, prices, and the steps of a list
_COUNTED = re.compile(
    r"\b\d{1,4}(?:[-/.:]\d{1,4})+\b|^\s*\d{1,3}[.)](?=\s)|\b\d{1,3}(?=\s?%)|[$€£¥]\s?\d+|"
    r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?\s+\d{1,2}(?:st|nd|rd|th)?\b|"
    r"\b\d{1,2}(?:st|nd|rd|th)?\s+(?:of\s+)?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)|"
    r"\d{1,2}\s*[年月日号]",
    re.IGNORECASE | re.MULTILINE,
)
_IDENTIFIES = re.compile(r"(?:^|_)(?:id|ids|uuid|key|number|no)_?$", re.IGNORECASE)
_NAMES_A_THING = re.compile(r"(?:^|_)(?:name|filename|title|subject)$", re.IGNORECASE)
_FIELD = re.compile(r"^[\s\-*]*([A-Za-z_][\w ]{0,40}?)\s*:\s*(.*)$", re.MULTILINE)
_ITEMS = "[]"  # in the place of a field's name: the entries of a list that are one word
_ITEM = re.compile(r"^\s*-\s+['\"]?([^\s'\"]{1,60})['\"]?\s*$", re.MULTILINE)
_MOST_YAML = 100_000
_REFERENCES = re.compile(r"(?:^|[\s\[{,:-])[&*]\w|<<:")
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ]\d{2}:\d{2}(?::\d{2})?)?")
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()


@dataclass(frozen=True, slots=True)
class ContentLabel:
    """Where a piece of content came from.

    Attributes:
        name: the tool, or "" for people and the system.
        call_id: the call that gave it, or "".
    """

    origin: Origin
    trusted: bool
    name: str = ""
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class Influence:
    """A value of a call that untrusted text may have chosen.

    Attributes:
        argument: the argument's name.
        value: the value, shortened.
        quote: the words in which it is, or "" when it is nowhere.
        label: where they are; None when it is nowhere.
    """

    argument: str
    value: str
    quote: str = ""
    label: ContentLabel | None = None


@dataclass(frozen=True, slots=True)
class _LabelledText:
    label: ContentLabel
    text: str
    plain: str


def label_for(tool: Any, name: str, call_id: str) -> ContentLabel:
    """Returns the label of what a tool gives back: untrusted, unless the tool vouches for all."""
    vouches = getattr(tool, "trusted_results", False) is True
    kind = str(getattr(tool, "name", name))
    origin: Origin = "tool"
    if getattr(tool, "source", None) is not None or hasattr(tool, "entry"):
        origin = "server"
    elif kind.startswith("web_"):
        origin = "page"
    elif kind.startswith(("document_", "file_", "read_", "image_", "audio_")):
        origin = "document"
    return ContentLabel(origin, vouches, name, call_id)


def normalised_text(text: str) -> str:
    """Returns text as values are compared: compatible forms joined, case and space levelled."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _no_sources(tool: str, argument: str) -> Sequence[str]:
    return ()


class Provenance:
    """The labelled content of one conversation."""

    def __init__(self) -> None:
        self._trusted = ""
        self._dates: set[tuple[int, int]] = set()
        self._templates: list[re.Pattern[str]] = []
        self._untrusted: list[_LabelledText] = []
        self._size = 0
        self._vouched: dict[str, set[str]] = {}  # by value: the tools that vouch for it
        self._vouched_text = ""
        self._records: dict[str, list[set[str]]] = {}  # by identifier: what else its records hold
        self._private: list[_LabelledText] = []

    @property
    def is_clean(self) -> bool:
        """Whether there is no untrusted text yet."""
        return not self._untrusted

    def add(self, text: str, label: ContentLabel, fields: Iterable[str] = ()) -> None:
        """Takes in content.

        Args:
            text: the content.
            label: where it came from.
            fields: names of fields in it whose values the tool vouches for.
        """
        if not text.strip():
            return
        if label.trusted and label.origin in ("person", "system"):
            self._trusted += " \n " + normalised_text(text)
            self._dates |= set(_dates_in(text))
            self._templates += templates_in(text)
            return
        if label.trusted:  # a tool's own words choose nothing, but they may be private
            self._private.append(_LabelledText(label, text, normalised_text(text)))
            self._vouched_text += " \n " + normalised_text(text)
            return
        vouched = {name.casefold() for name in fields}
        free = text
        if vouched:
            records: list[tuple[str, set[str]]] = []
            found, free = _split_vouched(text, vouched, records)
            for identifier, others in records:
                self._records.setdefault(identifier, []).append(others)
            for value in found:
                self._vouched.setdefault(normalised_text(value), set()).add(label.name)
        piece = _LabelledText(label, free, normalised_text(free))
        self._untrusted.append(piece)
        self._size += len(piece.plain)
        while self._size > _MOST_TEXT and len(self._untrusted) > 1:
            self._size -= len(self._untrusted.pop(0).plain)

    # -- judging ------------------------------------------------------------------------------

    def influence(
        self, tool: Any, values: Any, sources: Callable[[str, str], Sequence[str]] = _no_sources
    ) -> Influence | None:
        """Returns the first value of a call that untrusted text may have chosen.

        Args:
            tool: the tool.
            values: the call's arguments.
            sources: gives, for a tool and an argument, the tools whose results may choose it.
        """
        if not isinstance(values, Mapping):
            return self._of_target("", str(values), tool)
        named = targets_of(tool)
        known, words = {name for name in values if name in named}, set[str]()
        if not known and not getattr(tool, "read_only", False):
            known, words = self._judged(values)
        inside = not getattr(tool, "open_world", False) and all(
            _OWN_PLACES.search(name) for name in named if values.get(name)
        )
        for name, value in values.items():
            for leaf in leaf_values(value):
                if name in known:
                    found = self._of_target(str(name), leaf, tool)
                elif name in words:
                    found = self._of_words(str(name), leaf)
                else:
                    found = self._of_content(str(name), leaf, inside)
                if found is not None and not self._comes_from(
                    sources(str(tool.name), str(name)), leaf if name in known else found.value
                ):
                    return found
        return None

    def _judged(self, values: Mapping[str, Any]) -> tuple[set[str], set[str]]:
        """Returns what is judged as a target where no name says what the targets are, and the rest.

        All of it; but when a person said a part, as the day of an event, words that people read
        need only be no others' words.
        """
        words = {name for name in values if _WORDS_TO_READ.search(str(name))}
        others = [
            leaf for name in values if name not in words for leaf in leaf_values(values[name])
        ]
        said = any(self.is_said(leaf) for leaf in others if len(leaf) >= _FEW_DIGITS)
        return (set(values) - words, words) if said else (set(values), set())

    def _comes_from(self, sources: Sequence[str], value: str) -> bool:
        """Returns whether a value is in what one of these tools gave back."""
        plain = normalised_text(value)
        if not sources or not plain:
            return False
        if any(name in sources for name in self._vouched.get(plain, ())):
            return True
        pieces = [*self._private, *self._untrusted]
        return any(p.label.name in sources and _stands_in(plain, p.plain) for p in pieces)

    def unsaid(self, tool: Any, values: Any) -> Influence | None:
        """Returns the first target of a call that is in no trusted text."""
        if not isinstance(values, Mapping):
            return None
        named = targets_of(tool)
        for name, value in values.items():
            for leaf in leaf_values(value) if name in named else ():
                if not self.is_said(leaf):
                    return Influence(str(name), _short_text(leaf))
        return None

    def is_said(self, value: str) -> bool:
        """Returns whether a value is in trusted text."""
        plain = normalised_text(value)
        if plain.isdigit() and len(plain) < _FEW_DIGITS:  # a day, an amount
            return re.search(_NUMBERED.format(plain), self._trusted) is not None
        if not plain or _stands_in(plain, self._trusted) or self._is_filled_in(value):
            return True
        date = _DATE.fullmatch(value.strip())
        return date is not None and (int(date[2]), int(date[3])) in self._dates

    def _is_asked(self, argument: str, value: str) -> bool:
        """Returns whether words to search for are all a person's own, in whatever order."""
        if not _WORDS_TO_FIND.search(argument) or _ACTING.search(value):
            return False
        return all(self.is_said(word) for word in re.findall(r"\w{2,}", value))

    def _is_filled_in(self, value: str) -> bool:
        """Returns whether a value is a person's own text with its places filled in."""
        flat = " ".join(value.split())
        return any(
            not _ACTING.search(" ".join(match.groups()))
            for match in (template.fullmatch(flat) for template in self._templates)
            if match is not None
        )

    def _is_of_a_named_thing(self, value: str) -> bool:
        """Whether a tool gives this identifier to one thing only, by a name that was said."""
        records = self._records.get(normalised_text(value), [])
        return bool(records) and all(
            any(len(name) >= _FEW_DIGITS and not name.isdigit() and self.is_said(name)
                for name in others)
            for others in records
        )  # fmt: skip

    def _of_target(self, argument: str, value: str, tool: Any) -> Influence | None:
        if self.is_clean or self.is_said(value) or self._is_asked(argument, value):
            return None
        if _IDENTIFIES.search(argument) and self._is_of_a_named_thing(value):
            return None
        plain = normalised_text(value)
        for piece in reversed(self._untrusted):
            if _names_value(plain, piece):
                return Influence(
                    argument, _short_text(value), _quote_around(piece.text, value), piece.label
                )
        if plain in self._vouched or _stands_in(plain, self._vouched_text):
            harmless = getattr(tool, "read_only", False)
            if harmless or asks_for(str(getattr(tool, "name", "")), self._trusted):
                return None
        # an address that is put together of what was read (`https://host/?q=` and a secret)
        return Influence(argument, _short_text(value))

    def _of_words(self, argument: str, value: str) -> Influence | None:
        plain = normalised_text(value)
        if self.is_said(value):
            return None
        for piece in reversed(self._untrusted):
            if _stands_in(plain, piece.plain):
                return Influence(
                    argument, _short_text(value), _quote_around(piece.text, value), piece.label
                )
        return self._of_content(argument, value, inside=False)

    def _of_content(self, argument: str, value: str, inside: bool) -> Influence | None:
        plain = normalised_text(value)
        copies = len(plain) >= _RUN and not inside and not self._is_filled_in(value)
        words = _WORDS_TO_READ.search(argument) is not None
        return (
            self._of_acting(argument, value)
            or (None if words else self._of_day(argument, value))
            or self._of_identifier(argument, value)
            or (self._copied(argument, plain) if copies else None)
        )

    def _of_acting(self, argument: str, value: str) -> Influence | None:
        for acting in _ACTING.findall(value):
            atom = normalised_text(acting).rstrip(".,;:!?)]}")
            if self.is_said(atom):
                continue
            for piece in reversed(self._untrusted):
                if _stands_in(atom, piece.plain):
                    quote = _quote_around(piece.text, acting)
                    return Influence(argument, _short_text(acting), quote, piece.label)
        return None

    def _of_identifier(self, argument: str, value: str) -> Influence | None:
        for identifier in _IDENTIFIER.findall(value):
            if not _DATE.match(identifier) and not self.is_said(identifier):
                for piece in reversed([*self._private, *self._untrusted]):
                    if _stands_in(normalised_text(identifier), piece.plain):
                        quote = _quote_around(piece.text, identifier)
                        return Influence(argument, _short_text(identifier), quote, piece.label)
        return None

    def _of_day(self, argument: str, value: str) -> Influence | None:
        date = _DATE.fullmatch(value.strip())
        if date is None or self.is_said(value):
            return None
        day = int(date[2]), int(date[3])
        for piece in reversed(self._untrusted):
            if day in set(_dates_in(piece.text)):
                return Influence(argument, _short_text(value), "", piece.label)
        return None

    def _copied(self, argument: str, plain: str) -> Influence | None:
        """Finds a longer run of what was read in what would go out."""
        for piece in reversed([*self._private, *self._untrusted]):
            for at in range(0, len(plain) - _RUN + 1, _RUN // 3):
                run = plain[at : at + _RUN]
                if run in piece.plain and not _stands_in(run.strip(), self._trusted):
                    return Influence(
                        argument, _short_text(run), _quote_around(piece.text, run), piece.label
                    )
        return None


def targets_of(tool: Any) -> set[str]:
    """Returns the arguments of a tool that say to whom, where or which.

    A schema says it itself by `"target": true` or `false`; else the name decides.
    """
    try:
        properties = json_schema(tool.parameters).get("properties") or {}
    except (AttributeError, TypeError, KeyError):
        return set()
    found = set()
    for name, schema in properties.items():
        said = schema.get("target") if isinstance(schema, Mapping) else None
        if said is True or (said is None and _TARGETS.search(str(name))):
            found.add(str(name))
    return found


def leaf_values(value: Any) -> Iterator[str]:
    """Gives the texts and numbers in a value."""
    waiting = [value]
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, Mapping):
            waiting += [*entry.keys(), *entry.values()]
        elif isinstance(entry, (list, tuple)):
            waiting += entry
        elif isinstance(entry, str):
            yield entry
        elif isinstance(entry, (int, float)) and not isinstance(entry, bool):
            yield f"{entry:g}" if isinstance(entry, float) else str(entry)


def _stands_in(plain: str, text: str) -> bool:
    """Returns whether a value is in text as a whole: not as a part of a longer word or number."""
    at = text.find(plain)
    while at >= 0:
        before, after = text[at - 1 : at] if at else "", text[at + len(plain) : at + len(plain) + 1]
        joined = before.isalnum() and plain[:1].isalnum() and before.isascii()
        if not joined and not (after.isalnum() and plain[-1:].isalnum() and after.isascii()):
            return True
        at = text.find(plain, at + 1)
    return False


def _names_value(plain: str, piece: _LabelledText) -> bool:
    """Returns whether text names a value; a short number, where it is no count of things."""
    if not _stands_in(plain, piece.plain):
        return False
    if not (plain.isdigit() and len(plain) < _FEW_DIGITS):
        return True
    return _stands_in(plain, normalised_text(_COUNTED.sub(" ", piece.text)))


def _quote_around(text: str, value: str) -> str:
    flat = " ".join(text.split())
    at = flat.casefold().find(" ".join(value.split()).casefold())
    at = max(0, at)
    start, end = max(0, at - _QUOTE), at + len(value) + _QUOTE
    return f"{'…' if start else ''}{flat[start:end]}{'…' if end < len(flat) else ''}"


def _short_text(value: str) -> str:
    return one_line(value, 120)


def _dates_in(text: str) -> Iterator[tuple[int, int]]:
    """Gives month and day of the dates that a text names in one of the usual ways."""
    for _, month, day in _DATE.findall(text):
        yield int(month), int(day)
    for month, day in re.findall(r"(\d{1,2})\s*月\s*(\d{1,2})\s*[日号]", text):
        yield int(month), int(day)
    name = "|".join(_MONTHS)
    lowered = text.casefold()
    for month, day in re.findall(rf"\b({name})[a-z]*\.?\s+(\d{{1,2}})", lowered):
        yield _MONTHS.index(month) + 1, int(day)
    for day, month in re.findall(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?({name})", lowered):
        yield _MONTHS.index(month) + 1, int(day)


def _split_vouched(
    text: str, vouched: set[str], records: list[tuple[str, set[str]]]
) -> tuple[list[str], str]:
    """Returns the values of the fields that are vouched for, and the text without them.

    Identifiers and the names beside them are put into `records`.
    """
    value = _structure(text)
    if not isinstance(value, (dict, list)):
        return _split_lines(text, vouched)
    found: list[str] = []
    rest = json.dumps(_without_vouched(value, vouched, found, records), ensure_ascii=False)
    # as people read it: a line begins with a new word
    return found, rest.replace('\\"', '"').replace("\\n", "\n").replace("\\t", "\t")


def _structure(text: str) -> Any:
    """Returns the value of JSON, or of YAML that is small and refers to nothing; else None."""
    try:
        return loads_bounded(text)
    except json.JSONDecodeError:
        if len(text) > _MOST_YAML or _REFERENCES.search(text):
            return None
    import yaml

    try:
        return yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  nothing but texts
    except (yaml.YAMLError, RecursionError, ValueError):
        return None


def _without_vouched(
    value: Any, vouched: set[str], found: list[str], records: list[tuple[str, set[str]]]
) -> Any:
    if isinstance(value, Mapping):
        kept = {}
        own = {key: entry for key, entry in value.items() if str(key).casefold() in vouched}
        for entry in own.values():
            found += [leaf for leaf in leaf_values(entry) if _is_atom(leaf)]
        names = _atoms(own, _NAMES_A_THING)
        records += [(identifier, names) for identifier in _atoms(own, _IDENTIFIES)]
        for key, entry in value.items():
            if key not in own:
                kept[key] = _without_vouched(entry, vouched, found, records)
        return kept
    if isinstance(value, list):
        if _ITEMS in vouched:
            words = [entry for entry in value if isinstance(entry, str) and " " not in entry]
            found += words
            value = [entry for entry in value if entry not in words]
        return [_without_vouched(entry, vouched, found, records) for entry in value]
    return value


def _atoms(fields: Mapping[str, Any], named: re.Pattern[str]) -> set[str]:
    return {
        normalised_text(leaf)
        for key, entry in fields.items()
        if named.search(str(key)) and not isinstance(entry, (Mapping, list))
        for leaf in leaf_values(entry)
        if _is_atom(leaf)
    }


def _split_lines(text: str, vouched: set[str]) -> tuple[list[str], str]:
    """The same for `name: value` lines, as YAML and many tools write them."""
    found: list[str] = []

    def keep(match: re.Match[str]) -> str:
        if match.group(1).strip().casefold() not in vouched or not _is_atom(match.group(2)):
            return match.group()
        found.append(match.group(2).strip().strip("'\""))
        return ""

    rest = _FIELD.sub(keep, text)
    if _ITEMS in vouched:
        found += _ITEM.findall(rest)
        rest = _ITEM.sub("", rest)
    return found, rest


def _is_atom(value: str) -> bool:
    """Returns whether a field's value is a name or number and no text that could hold another."""
    return 0 < len(value.strip()) <= 100 and "\n" not in value
