"""Glob patterns over relative paths: `*`, `?`, `[a-z]`, `{a,b}`, and `**` for any folders.

The rules are minimatch's with `dot: true`, which the reference server uses: `*` does not cross a
slash but matches a leading dot; `**` matches whole path parts only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import regex

from qwenbelt.core.errors import ToolError

_MAX_LENGTH = 1000
_MAX_ALTERNATIVES = 100


def glob_matcher(pattern: str) -> Callable[[str], object]:
    """Returns a function that is true for the relative paths that a pattern matches.

    Raises:
        ToolError: the pattern is wrong, too long, or has too many alternatives.
    """
    if len(pattern) > _MAX_LENGTH:
        raise ToolError(f"The pattern is longer than {_MAX_LENGTH} characters.")
    parts = [_translate(form) for form in _alternatives(pattern.removeprefix("./"))]
    try:
        compiled = regex.compile(f"(?:{'|'.join(parts)})", regex.DOTALL)
    except regex.error as error:
        raise ToolError(f"{pattern!r} is not a glob pattern ({error}).") from None
    match: Callable[[str], object] = compiled.fullmatch
    return match


def glob_excluder(
    patterns: Iterable[str], *, names_anywhere: bool = False
) -> Callable[[str], bool]:
    """Returns a function that is true for the relative paths that any of the patterns matches.

    Args:
        patterns: glob patterns.
        names_anywhere: whether a pattern without `*` also matches a name at any depth.
    """
    forms: list[str] = []
    for pattern in patterns:
        forms.append(pattern)
        if names_anywhere and "*" not in pattern:
            forms += [f"**/{pattern}", f"**/{pattern}/**"]
    if not forms:
        return lambda path: False
    matchers = [glob_matcher(form) for form in forms]
    return lambda path: any(match(path) for match in matchers)


def _alternatives(pattern: str) -> list[str]:
    found = [pattern]
    for _ in range(_MAX_ALTERNATIVES):
        position = next((i for i, form in enumerate(found) if _BRACES.search(form)), None)
        if position is None:
            return found
        form = found.pop(position)
        match = _BRACES.search(form)
        if match is not None:
            before, after = form[: match.start()], form[match.end() :]
            found += [before + choice + after for choice in match.group(1).split(",")]
        if len(found) > _MAX_ALTERNATIVES:
            break
    raise ToolError(f"The pattern has more than {_MAX_ALTERNATIVES} alternatives.")


_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
_SET = re.compile(r"\[([!^]?)(\]?[^]/]*)\]")
_IN_SET = re.compile(r"[\\^\]\[&~|]")  # what would mean more than itself inside a set


def _translate(pattern: str) -> str:
    groups: list[list[str]] = [[]]  # the parts between one `**` and the next
    for part in pattern.split("/"):
        if part != "**":
            groups[-1].append(_part_pattern(part))
        elif groups[-1] or len(groups) == 1:
            groups.append([])
    first, *rest = groups
    if not rest:
        return "/".join(first)
    out = "".join(f"{part}/" for part in first)
    for group in rest[:-1]:
        out += f"(?>(?:[^/]+/)*?{'/'.join(group)}/)"
    return out + (f"(?:[^/]+/)*{'/'.join(rest[-1])}" if rest[-1] else ".*")


def _part_pattern(part: str) -> str:
    pieces = [""]  # the pieces between one `*` and the next
    i = 0
    while i < len(part):
        found = _SET.match(part, i) if part[i] == "[" else None
        if found is not None:
            body = _IN_SET.sub(r"\\\g<0>", found.group(2))
            pieces[-1] += f"[^/{body}]" if found.group(1) else f"[{body}]"
            i = found.end()
            continue
        if part[i] == "*":
            pieces.append("")
        else:
            pieces[-1] += "[^/]" if part[i] == "?" else regex.escape(part[i])
        i += 1
    # each piece but the last may be taken where it is first found, so nothing is tried twice
    middle = "".join(f"(?>[^/]*?{piece})" for piece in pieces[1:-1] if piece)
    return pieces[0] + middle + (f"[^/]*{pieces[-1]}" if len(pieces) > 1 else "")
