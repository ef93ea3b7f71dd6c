"""Reads the checks under `then` in a scenario.

A list under `calls` means strict: these calls, in this order. A call is written as its name, or
as its name with the arguments that matter.

    then:
      calls: {unordered: [a, b, c]}             # or strict, subset, superset
      called: [a, {b: {sql: {contains: avg}}}]  # each at least once
      once: [a]
      never: [write_file]
      order: [a, [b, c], d]                     # a before b and c, both before d
      overlap: [a, b]                           # ran at the same time; or a list of such lists
      results: {sql_query: {contains: "412"}}
      answer: {contains: "405"}
      citations: true                           # or {at_least: 2, folder: ...}
      grounded: true                            # figures are in the cited passages
      budget: {turns: 3, calls: 4, tokens: 9000, seconds: 10}
      ended: answer
      failed: [flaky_tool]                      # calls of these may fail; no others
      repeats: false                            # no call twice with the same arguments
      secrets: false                            # no key in bodies, traces, or a wrong header
      append_only: true                         # no request changes earlier messages
      prefix: {stable: true}                    # each request begins with all of the one before
      cost: {at_most: 0.02}                     # money, or tokens where the server bills
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qwenbelt.core.errors import InputError
from qwenbelt.testing.checks import checks
from qwenbelt.testing.checks.checks import Check, Order, Step, tool
from qwenbelt.testing.checks.matchers import Matcher, matcher_of, subset
from qwenbelt.testing.checks.sequences import MODES, Calls
from qwenbelt.testing.checks.wire import append_only, cost, no_secrets, prefix
from qwenbelt.testing.errors import did_you_mean


def checks_of(then: Mapping[str, Any]) -> list[Check]:
    """Returns the checks that a `then` entry describes.

    Raises:
        InputError: a key or a value is not understood.
    """
    out: list[Check] = []
    for key, value in then.items():
        if key not in _READERS:
            hint = did_you_mean(str(key), _READERS) or f" Known are: {', '.join(_READERS)}."
            raise InputError(f"`then` has no {key!r}.{hint}")
        try:
            out += _READERS[key](value)
        except (TypeError, AttributeError) as error:
            raise InputError(f"`then.{key}` is not understood ({error}).") from error
    return out


def step_of(entry: Any) -> Step:
    """Returns the step that `name` or `{name: arguments}` describes."""
    if isinstance(entry, str):
        return tool(entry)
    if isinstance(entry, Mapping) and len(entry) == 1:
        name, arguments = next(iter(entry.items()))
        if arguments is None:
            return tool(str(name))
        wanted = matcher_of(arguments)
        return Step(str(name), wanted if isinstance(wanted, Matcher) else subset(wanted))
    raise InputError(f"A call is written `name` or `name: {{arguments}}`, not {entry!r}.")


def _list(key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"`then.{key}` must be a list, not {value!r}.")
    return value


def _calls(value: Any) -> list[Check]:
    if isinstance(value, list):
        value = {"strict": value}
    if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in MODES:
        raise InputError(f"`then.calls` must be a list, or one of {', '.join(MODES)} with a list.")
    mode, entries = next(iter(value.items()))
    return [Calls(tuple(step_of(entry) for entry in _list(f"calls.{mode}", entries)), mode)]


def _each(key: str, make: Callable[[Step], Check]) -> Callable[[Any], list[Check]]:
    return lambda value: [make(step_of(entry)) for entry in _list(key, value)]


def _order(value: Any) -> list[Check]:
    layers = []
    for entry in _list("order", value):
        parts = entry if isinstance(entry, list) else [entry]
        layers.append(tuple(step_of(part) for part in parts))
    if len(layers) < 2 or not all(layers):
        raise InputError("`then.order` needs at least two tools or lists of tools.")
    return [Order(tuple(layers))]


def _overlap(value: Any) -> list[Check]:
    groups = _list("overlap", value)
    if not any(isinstance(entry, list) for entry in groups):
        groups = [groups]
    return [checks.overlapped(*(str(name) for name in group)) for group in groups]


def _results(value: Any) -> list[Check]:
    if not isinstance(value, Mapping):
        raise InputError("`then.results` must be a mapping from tools to what they give.")
    out: list[Check] = []
    for name, wanted in value.items():
        if isinstance(wanted, list):
            many = enumerate(wanted, 1)
            out += [checks.result(name, _text(matcher_of(w)), number=n) for n, w in many]
        else:
            out.append(checks.result(name, _text(matcher_of(wanted))))
    return out


def _text(wanted: Any) -> Any:
    number = isinstance(wanted, (int, float)) and not isinstance(wanted, bool)
    return str(wanted) if number else wanted


def _budget(value: Any) -> list[Check]:
    if not isinstance(value, Mapping):
        raise InputError("`then.budget` must be a mapping.")
    return [checks.budget(**value)]


def _grounded(value: Any) -> list[Check]:
    from qwenbelt.testing.checks.grounding import grounded

    if value is not True:
        raise InputError("`then.grounded` must be true.")
    return [grounded()]


def _citations(value: Any) -> list[Check]:
    from qwenbelt.testing.checks.citations import citations

    if value is True:
        return [citations()]
    if not isinstance(value, Mapping) or not set(value) <= {"at_least", "folder"}:
        raise InputError("`then.citations` must be true, or hold `at_least` and `folder`.")
    return [citations(**value)]


def _named(key: str, value: Any, name: str) -> dict[str, Any]:
    wanted = bool if name == "stable" else (int, float)
    if (
        not isinstance(value, Mapping)
        or set(value) != {name}
        or not isinstance(value[name], wanted)
    ):
        raise InputError(f"`then.{key}` must be a mapping with `{name}`.")
    return dict(value)


def _only(key: str, wanted: bool, make: Callable[[], Check]) -> Callable[[Any], list[Check]]:
    def read(value: Any) -> list[Check]:
        if value is not wanted:
            raise InputError(f"`then.{key}` can only be {str(wanted).lower()}.")
        return [make()]

    return read


_READERS: dict[str, Callable[[Any], list[Check]]] = {
    "calls": _calls,
    "called": _each("called", lambda step: step),
    "once": _each("once", lambda step: Step(step.name, step.arguments, 1)),
    "never": _each("never", lambda step: checks.never(step.name, step.arguments)),
    "order": _order,
    "overlap": _overlap,
    "results": _results,
    "answer": lambda value: [checks.answer(_text(matcher_of(value)))],
    "citations": _citations,
    "grounded": _grounded,
    "budget": _budget,
    "ended": lambda value: [checks.ended(str(value))],
    "failed": lambda value: [checks.all_ok(*_list("failed", value))],
    "repeats": _only("repeats", False, checks.no_repeats),
    "secrets": _only("secrets", False, no_secrets),
    "append_only": _only("append_only", True, append_only),
    "prefix": lambda value: [prefix(**_named("prefix", value, "stable"))],
    "cost": lambda value: [cost(**_named("cost", value, "at_most"))],
}
