"""Distinctive words of a question, and years of it, that are nowhere in the documents.

Who asks for the drones of a company whose report has no drone cannot be answered from it. Only
words count that name a thing: names, and nouns by their place and ending. Words of asking, of
business (`glossary`) and of general language say nothing when they are missing: a report may say
"decreased" for "dragged down".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qwenbelt.tools.documents.search.glossary import without_terms
from qwenbelt.tools.documents.search.queries import ASKING
from qwenbelt.tools.documents.search.tokens import STOP_WORDS, tokens
from qwenbelt.tools.documents.search.unknown_years import unknown_years

if TYPE_CHECKING:
    from qwenbelt.tools.documents.search.focused import DocumentWords

# of general language, where a synonym is likely
GENERAL = frozenset(
    """able accelerate account accrue act activity actual agenda aim amount answer area
    attempt background basic basis battle begin big block bottom bring broad build business
    buy call case cast cause center change check choose class clear close code come common
    company compare concern condition consider contain context continue cost count cover
    create current cut data date day deal decide deep degree detail develop difference direct
    direction discuss dispute domestic double drag draw drive drop drove earn ease effect
    effort employ end enter entire entity event exact exist expect expert extent face fact
    factor fall far fast feature feel few figure file final financial find firm fit fix flow
    focus follow form formerly forward free full future gain gap gather general get goal good
    great ground group grow growth half hand happen hard head hear heavy held help hire hit
    hold huge idea impact imply important improve include increase indicate industry input
    insight instance intend introduce involve issue item job join keep key kind know lack
    large last late launch lead lean learn leave left lend less level light limit line link
    little local long lose lost low main make manner mark market matter maximum mean measure
    meet mention method middle minimum minor miss mode modern money month more motive move
    name nature near need new next note number object obtain occur offer often old onward open
    operate operation opinion order origin outcome outline output outside overall own page
    pair part partial past pay peak people percent percentage perform period person picture
    piece place plan play point position possible potential power practice precise prefer
    prepare present press pressure prevent previous previously price primary prior problem
    process produce product program project promise proof proper propose protect prove purpose
    push put quality quantity quarter quick quite raise range rank rapid rate reach read ready
    real realise realize really reason receive recent record reduce refer reference reflect
    regard region relate relation release relevant remain remark remove repeat report
    represent require respect rest result return reveal review rise role rough row rule run
    safe same save scale scope second section seek seem segment sell send sense separate
    series serve service set several shape share shift short side sign signal significant
    similar simple single site situation size slow small solve sort source space special
    specific speed spend split stage stand standard start state stay step stop story strategy
    stress strong structure study style subject success sudden suffer suggest sum summary
    supply support sure table take talk target task team tell tend term test text theme theory
    third thousand threat three time title together tone top topic total touch track trade
    treat trend trigger true trust turn two type typical under understand unique usual value
    vary version view volume vs wait want way weak week weight whole wide win wish word work
    worker world worry worth write wrong year yield zero""".split()
)
# endings of verbs, adverbs, adjectives and abstract nouns, which documents say in other forms
_ENDINGS = re.compile(
    r"(?:ed|ing|ly|tion|sion|ment|ness|ity|ance|ence|ous|ive|able|ible|ful|less|ish|ise|ize|ic|al)s?$"
)
_LEAST = 4
_WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_RESULTS = ("results of {}", "{} 年的业绩")  # a page may have the year, of something else
Stem = Callable[[str], list[str]]


def unknown_words(question: str, held: Sequence[DocumentWords], stem: Stem) -> tuple[str, ...]:
    """Returns the words, as they are written in the question, and the results of missing years.

    Args:
        question: what is asked.
        held: the words of all documents that may answer.
        stem: turns a text into stems.
    """
    known = [page.counts.keys() for one in held for page in one.page_words.values()]
    names = frozenset(name for one in held for name in one.names)
    written = "".join(sorted(names))

    def is_known(word: str) -> bool:
        stems = stem(word)
        if not stems or all(any(s in page for page in known) for s in stems):
            return True
        low = word.lower()
        if any(low.startswith(name) or low in name for name in names if len(name) > 2):
            return True  # a form of the document's name
        return low in written or _is_joined(low, known, stem)

    found = [word for word in distinctive_words(question) if not is_known(word)]
    found += [
        _RESULTS[bool(_CJK.search(question))].format(y) for y in unknown_years(question, held)
    ]
    return tuple(dict.fromkeys(found))


def distinctive_words(question: str) -> list[str]:
    """Returns the words of a question that name a thing."""
    if _CJK.search(question):
        return []  # words without spaces cannot be distinguished from their parts
    rest = without_terms(question)
    found = []
    for match in _WORD.finditer(rest):
        word = match.group()
        if _names_a_thing(word, first=not rest[: match.start()].strip()):
            found.append(word)
    return found


def _names_a_thing(word: str, *, first: bool) -> bool:
    low = word.lower()
    if len(word) < _LEAST or word.isupper() or low in STOP_WORDS or low in ASKING:
        return False
    bare = next(iter(tokens(low)), low)
    if _is_general(bare):
        return False
    if word[0].isupper() and not first:
        return True
    return not _ENDINGS.search(low)


def _is_general(word: str) -> bool:
    forms = {word, word.removesuffix("s"), word.removesuffix("es"), word.removesuffix("ies") + "y"}
    return bool(forms & GENERAL) or bool(forms & ASKING)


def _is_joined(word: str, known: Sequence[object], stem: Stem) -> bool:
    """Returns whether two words of the documents make it: footlocker, cashflow."""
    for cut in range(3, len(word) - 2):
        parts = [*stem(word[:cut]), *stem(word[cut:])]
        if len(parts) == 2 and all(any(p in page for page in known) for p in parts):  # type: ignore[operator]
            return True
    return False
