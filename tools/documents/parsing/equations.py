"""Equations become LaTeX: MathML of web pages, and Office's own markup."""

from __future__ import annotations

import re
from typing import Any

_SPACES = re.compile(r"\s+")
LONGEST = 200_000  # characters of markup; what is longer is no equation for people
_OMML = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
# combining marks over a letter that the library takes for an arrow
_ACCENTS = {"\u0302": r"\hat", "\u0303": r"\tilde", "\u0304": r"\bar", "\u0307": r"\dot"}


def latex_of_mathml(markup: str) -> str:
    """Returns LaTeX of a `math` element, or "" where the library fails."""
    if len(markup) > LONGEST:
        return ""
    try:
        from mathml_to_latex.converter import MathMLToLaTeX

        return _SPACES.sub(" ", MathMLToLaTeX().convert(markup)).strip()
    except Exception:  # it raises whatever odd markup makes it stumble over
        return ""


def latex_of_omml(element: Any) -> str:
    """Returns LaTeX of an `m:oMath` element, or its bare text where the library fails."""
    plain = "".join(node.text or "" for node in element.iter(f"{_OMML}t"))
    if len(plain) > LONGEST:
        return plain
    try:
        from officemath2latex import process_math_node

        found = _SPACES.sub(" ", str(process_math_node(element))).strip()
    except Exception:  # the library stumbles over odd equations in many ways; their text is kept
        return plain
    for accent in element.iter(f"{_OMML}acc"):
        mark = accent.find(f"{_OMML}accPr/{_OMML}chr")
        sign = _ACCENTS.get(mark.get(f"{_OMML}val", "") if mark is not None else "\u0302")
        found = found.replace(r"\overrightarrow", sign, 1) if sign else found
    return found or plain
