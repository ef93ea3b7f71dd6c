"""Personal data: the model reads placeholders, tools and the person get the real values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt import MaskPersonalData
from qwenbelt.testing import Scenario


@pytest.mark.parametrize(
    "value",
    [
        "anna.lee+x@mail.example.com",
        "4111 1111 1111 1111",
        "5500-0000-0000-0004",
        "DE89 3704 0044 0532 0130 00",
        "GB82WEST12345698765432",
        "11010519491231002X",
        "078-05-1120",
        "+49 30 1234567",
        "13812345678",
        "(212) 555-0123",
    ],
)
def test_what_has_a_form_is_masked(value: str) -> None:
    hook = MaskPersonalData()
    masked = hook.mask(f"It is {value}, they say; {value}.")
    assert value not in masked
    assert masked.count("_1]") == 2
    assert hook.unmask(masked) == f"It is {value}, they say; {value}."


@pytest.mark.parametrize(
    "text",
    [
        "Net sales were 4111111111111112 in 2023-2024.",  # no card: the check digit is wrong
        "110105194912310021",
        "DE89 3704 0044 0532 0130 01",
        "page 12-13, 1,234.5 MPa, 2024-01-05, 10.1234/js.2021.55, 127.0.0.1",
        "000-12-3456 and v1.2.3-4",
    ],
)
def test_what_only_looks_so_stays(text: str) -> None:
    assert MaskPersonalData().mask(text) == text


@given(st.text(max_size=200))
def test_any_text_comes_back(text: str) -> None:
    hook = MaskPersonalData(words=["Anna"])
    masked = hook.mask(text)
    assert "Anna" not in masked
    assert hook.unmask(masked) == text


def test_the_model_reads_placeholders_and_the_tool_gets_the_value(served: Any) -> None:
    mailed: list[str] = []

    def mail(to: str) -> str:
        """Sends a mail.

        Args:
            to: the address.
        """
        mailed.append(to)
        return f"sent to {to}, +49 30 1234567"

    scenario = Scenario().turn(calls=[("mail", {"to": "[EMAIL_1]"})]).answer("Sent to [EMAIL_1].")
    agent = served(scenario, [mail], hooks=[MaskPersonalData(["Anna Lee"])])
    result = agent.ask("Mail Anna Lee: anna@example.com")
    assert result.text == "Sent to anna@example.com."
    assert mailed == ["anna@example.com"]
    told = str([request.messages for request in served.asked])
    for secret in ("anna@example.com", "Anna Lee", "1234567"):
        assert secret not in told
    assert "[SECRET_1]: [EMAIL_1]" in told
