"""What documents state differently, as sentences of a report with both places cited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from qwenbelt.core.language import Language
from qwenbelt.tools.documents.disagreement import Disagreement
from qwenbelt.tools.documents.sources import NumberedSource
from qwenbelt.workflows.report.citing import Citer
from qwenbelt.workflows.report.prose import Node
from qwenbelt.workflows.report.strings import say


def cited_disagreements(
    found: Iterable[Disagreement], citer: Citer, paths: Mapping[str, Path], language: Language
) -> list[list[Node]]:
    """Returns a sentence for each disagreement; both passages become citations.

    Args:
        found: the disagreements.
        citer: numbers the citations.
        paths: where the documents are, by name.
        language: of the sentences.
    """
    sentences: list[list[Node]] = []
    for one in found:
        numbers = []
        for place in one.places:
            source = NumberedSource(0, place.file, str(paths[place.file]), place.page, "")
            numbers.append(citer.cite(source, place.label, place.quote).n)
        first, second = one.places
        key = "restated" if one.restated else "differs"
        end = say(key, language)
        sentences.append(
            [
                {"kind": "text", "text": say("is_said", language, label=one.title)},
                {"kind": "strong", "inline": [{"kind": "text", "text": first.text}]},
                {"kind": "text", "text": " "},
                {"kind": "cite", "n": numbers[0]},
                {"kind": "text", "text": say("and", language)},
                {"kind": "strong", "inline": [{"kind": "text", "text": second.text}]},
                {"kind": "text", "text": " "},
                {"kind": "cite", "n": numbers[1]},
                {"kind": "text", "text": end},
            ]
        )
    return sentences
