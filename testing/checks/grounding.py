"""Checks that an answer's figures are in the passages that it cites."""

from __future__ import annotations

from collections.abc import Iterator

from qwenbelt.testing.checks.checks import Check, FunctionCheck
from qwenbelt.testing.checks.citations import sources_of
from qwenbelt.testing.checks.matchers import shown_value
from qwenbelt.testing.checks.trajectory import Trajectory

_WORDS = {
    "no_citations": "the answer cites nothing that was shown",
    "not_on_page": "the figure {figure} stands in no passage that is cited for it",
    "wrong_row": "the figure {figure} stands on page {page} in a row about something else",
    "wrong_unit": "the figure {figure} stands on page {page} in another unit",
    "wrong_year": "the figure {figure} stands on page {page} under another year",
    "other_way": "a change of {figure} is the other way than the answer says",
    "no_year": "what is cited does not mention {claim}",
    "unknown_word": "{claim} stands nowhere in what was shown",
    "no_page": "{claim} is cited, which was not shown",
}


def grounded(question: str = "") -> Check:
    """Checks that each figure of the answer is in a passage that it cites, in a fitting row.

    An answer that admits that the files have no answer passes: it claims nothing.

    Args:
        question: what was asked, when the run does not know it.
    """
    from qwenbelt.tools.documents.answer_checks import check_answer
    from qwenbelt.tools.documents.grounding import CitedText

    def check(run: Trajectory) -> Iterator[str]:
        sources = list(sources_of(run))
        numbered = {s.number: CitedText(s.page, s.text) for s in sources if s.number is not None}

        def page_text(file: str, page: int) -> str | None:
            found = [s.text for s in sources if (s.file, s.page) == (file, page)]
            return "\n".join(found) if found else None

        computed = [c.result or "" for c in run.calls if c.name == "code_interpreter"]
        asked = question or run.asked
        for one in check_answer(
            run.answer, asked, numbered=numbered, page_text=page_text, computed=computed
        ):
            if not one.ok:
                words = _WORDS[one.status].format(
                    figure=one.figure, page=one.page, claim=shown_value(one.claim, 60)
                )
                yield f"{words} ({shown_value(one.claim, 80)})"

    return FunctionCheck(check)
