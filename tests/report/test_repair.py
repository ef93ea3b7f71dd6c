"""What the model is told when its answer does not stand on the pages."""

from __future__ import annotations

import pytest

from qwenbelt.tools.documents.attribution import wrong_as_a_whole
from qwenbelt.workflows.report.grounded import repair_prompt


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_answer_against_what_was_computed_is_told_what_that_is(language: str) -> None:
    line = "largest of Total liabilities [1]: 2022: Accounts payable 12,133; then Deposits 10,239"
    checks = wrong_as_a_whole("It was the long-term debt [1].", [line])
    assert line in repair_prompt(checks, language)
    assert wrong_as_a_whole("It was accounts payable [1].", [line]) == []
