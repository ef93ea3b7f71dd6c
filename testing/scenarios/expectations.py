"""What a turn expects of the request that it answers.

    expect:
      results: {sql_query: {contains: "412"}}     # by tool; a list where a tool is called often
      system: {contains: "You answer in Chinese"}
      user: {regex: "mean|average"}               # the last user message
      tools: [sql_query, document_search]         # offered, among others
      request: {temperature: 0, seed: {absent: true}}
      images: 1                                   # pictures in the whole conversation

What is not met refuses the request and names the turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qwenbelt.core.errors import InputError
from qwenbelt.testing.checks.matchers import (
    MISSING,
    Matcher,
    describe_difference,
    matcher_of,
    shown_value,
)
from qwenbelt.testing.errors import did_you_mean
from qwenbelt.testing.scenarios.request import ChatRequest

KEYS = ("results", "system", "user", "tools", "request", "images")


def check_expect(expect: Mapping[str, Any]) -> None:
    """Checks the form of an `expect` entry.

    Raises:
        InputError: a key or a matcher is not understood.
    """
    for key, value in expect.items():
        if key not in KEYS:
            hint = did_you_mean(key, KEYS) or f" Known are: {', '.join(KEYS)}."
            raise InputError(f"`expect` has no {key!r}.{hint}")
        if key in ("results", "request") and not isinstance(value, Mapping):
            raise InputError(f"`expect.{key}` must be a mapping.")
        if key == "tools" and not isinstance(value, list):
            raise InputError("`expect.tools` must be a list of names.")
        matcher_of(value)


def unmet_expectations(expect: Mapping[str, Any], request: ChatRequest) -> list[str]:
    """Returns what the request lacks, one line each; empty when all is there."""
    out: list[str] = []
    for key, value in expect.items():
        out += _CHECKS[key](value, request)
    return out


def _missing_results(wanted: Mapping[str, Any], request: ChatRequest) -> list[str]:
    out = []
    for name, spec in wanted.items():
        found = [result.text for result in request.results if result.name == name]
        specs = spec if isinstance(spec, list) else [spec]
        if not found:
            others = sorted({result.name for result in request.results})
            hint = (
                did_you_mean(name, others)
                or f" There are results of: {', '.join(others) or 'none'}."
            )
            out.append(f"expected a result of {name}, and there is none.{hint}")
            continue
        for wish, text in zip(specs, found[-len(specs) :], strict=False):
            reason = describe_difference(_missing_texts(matcher_of(wish)), text)
            if reason:
                out.append(f"the result of {name}: {reason}")
        if len(found) < len(specs):
            out.append(f"expected {len(specs)} results of {name}, got {len(found)}")
    return out


def _missing_texts(wish: Any) -> Any:
    return str(wish) if isinstance(wish, (int, float)) else wish


def _one(label: str, read: Callable[[ChatRequest], Any]) -> Callable[[Any, ChatRequest], list[str]]:
    def check(wanted: Any, request: ChatRequest) -> list[str]:
        reason = describe_difference(matcher_of(wanted), read(request))
        return [f"{label}: {reason}"] if reason else []

    return check


def _missing_tools(wanted: list[str], request: ChatRequest) -> list[str]:
    lacking = [name for name in wanted if name not in request.offered]
    return [
        f"the tool {name} is not offered.{did_you_mean(name, request.offered)}" for name in lacking
    ]


def _missing_of_request(wanted: Mapping[str, Any], request: ChatRequest) -> list[str]:
    out = []
    for name, spec in wanted.items():
        value = request.body.get(name, MISSING)
        if isinstance(spec, Mapping) and "absent" in spec:
            absent = value is MISSING
            if absent != bool(spec["absent"]):
                out.append(f"`{name}` is {'absent' if absent else 'sent: ' + shown_value(value)}")
            continue
        reason = describe_difference(matcher_of(spec), value)
        if reason:
            out.append(f"`{name}`: {reason}")
    return out


_CHECKS: dict[str, Callable[[Any, ChatRequest], list[str]]] = {
    "results": _missing_results,
    "system": _one("the system message", lambda request: request.system),
    "user": _one("the last user message", lambda request: request.user),
    "tools": _missing_tools,
    "request": _missing_of_request,
    "images": _one("pictures", lambda request: request.images),
}
__all__ = ["KEYS", "Matcher", "check_expect", "unmet_expectations"]
