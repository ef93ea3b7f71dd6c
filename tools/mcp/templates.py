"""Resource templates (RFC 6570) as people write them: which variable is being typed."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote

_PARTS = re.compile(r"\{([^{}]*)\}")
_RESERVED = ":/?#[]@!$&'()*+,;="


class TypedVariable(NamedTuple):
    """The variable of a template at the end of what has been written.

    Attributes:
        before: what has been written before it.
        name: of the variable.
        value: its beginning.
        known: the values of the variables before it.
        whole: whether its value may have slashes and other reserved characters as they are.
    """

    before: str
    name: str
    value: str
    known: dict[str, str]
    whole: bool

    def written(self, value: str) -> str:
        """Returns the URI so far with a value in this variable's place."""
        safe = _RESERVED if self.whole else ""
        # some servers give values as they stand in a URI
        encoded = quote(unquote(value), safe=safe) == value
        return self.before + (value if encoded else quote(value, safe=safe))


def typed_variable(template: str, written: str) -> TypedVariable | None:
    """Returns the variable that is being written, None where none is or it is no such URI.

    Templates with lists of variables or query parts (`{a,b}`, `{?a}`) are not taken apart.
    """
    parts = _PARTS.split(template)
    place = 0
    known: dict[str, str] = {}
    for number in range(0, len(parts), 2):
        literal = parts[number]
        if not written.startswith(literal, place):
            return None
        place += len(literal)
        if number + 1 == len(parts):
            return None
        expression = parts[number + 1]
        whole = expression.startswith("+") or expression.endswith("*")
        name = expression.removeprefix("+").removesuffix("*")
        if not re.fullmatch(r"[\w.]+", name, re.A):
            return None
        following = parts[number + 2]
        end = written.find(following, place) if following else -1
        value = written[place : end if end >= 0 else None]
        if not whole and "/" in value:
            return None
        if end < 0:
            return TypedVariable(written[:place], name, unquote(value), known, whole)
        known[name] = unquote(value)
        place = end
    return None
