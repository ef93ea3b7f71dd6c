"""Rules that settle questions of approval: `{"allow": [...], "ask": [...], "never": [...]}`.

A pattern is `tool` or `tool(argument)`, both with `*` and `?` as in file names. `never` beats
`ask`, and `ask` beats `allow`.

`{"sources": {"web_fetch(url)": ["read_channel"]}}` lists the tools whose results may
choose an argument: a value from one of those results needs no approval.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from qwenbelt.agents.runtime.approvals.provenance import leaf_values, targets_of
from qwenbelt.core.errors import ConfigError

Kind = Literal["never", "ask", "allow"]
_KINDS: tuple[Kind, ...] = ("never", "ask", "allow")
_PATTERN = re.compile(r"\s*([^()\s]+)\s*(?:\((.*)\))?\s*", re.DOTALL)
_UP = re.compile(r"(?:^|[/\\])\.\.(?:$|[/\\])")


@dataclass(frozen=True)
class ApprovalRule:
    """One pattern.

    Attributes:
        tool: a glob for the tool's name.
        argument: a glob for values of the call, or None for any call.
    """

    kind: Kind
    tool: str
    argument: str | None

    def fits(self, tool: Any, name: str, values: Any) -> bool:
        """Returns whether the rule speaks of a call.

        What forbids or asks fits when any value does; what allows must fit all targets.
        """
        if not fnmatch.fnmatchcase(name, self.tool):
            return False
        if self.argument is None:
            return True
        if self.kind != "allow":
            return any(fnmatch.fnmatchcase(leaf, self.argument) for leaf in leaf_values(values))
        targets = targets_of(tool)
        if isinstance(values, Mapping) and targets:
            values = [value for key, value in values.items() if key in targets]
        found = list(leaf_values(values))
        return bool(found) and all(
            fnmatch.fnmatchcase(leaf, self.argument) and not _UP.search(leaf) for leaf in found
        )


@dataclass(frozen=True)
class SourceRule:
    """Whose results may choose an argument.

    Attributes:
        tool: a glob for the tool's name.
        argument: a glob for the argument's name.
        sources: the names of the tools that give such results.
    """

    tool: str
    argument: str
    sources: tuple[str, ...]


class ApprovalRules:
    """Rules in their order of weight."""

    def __init__(
        self, rules: Iterable[ApprovalRule] = (), sources: Iterable[SourceRule] = ()
    ) -> None:
        self._rules = sorted(rules, key=lambda rule: _KINDS.index(rule.kind))
        self.sources = tuple(sources)

    def __bool__(self) -> bool:
        return bool(self._rules or self.sources)

    def sources_of(self, tool: str, argument: str) -> list[str]:
        """Returns the tools whose results may choose an argument of a tool."""
        return [
            name
            for rule in self.sources
            if fnmatch.fnmatchcase(tool, rule.tool) and fnmatch.fnmatchcase(argument, rule.argument)
            for name in rule.sources
        ]

    def of(self, tool: Any, name: str, values: Any) -> Kind | None:
        """Returns what the rules say of a call, or None when they say nothing."""
        fitting = (rule.kind for rule in self._rules if rule.fits(tool, name, values))
        return next(fitting, None)


def checked_rules(table: Mapping[str, Any]) -> ApprovalRules:
    """Returns the rules of a table.

    Raises:
        ConfigError: it has other keys, or a pattern cannot be read.
    """
    found, sources = [], tuple(_sources(table.get("sources", {})))
    for key, patterns in table.items():
        if key == "sources":
            continue
        kind = next((kind for kind in _KINDS if kind == key), None)
        if kind is None:
            raise ConfigError(f"Approval rules are allow, ask, never and sources, not {key!r}.")
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            found.append(ApprovalRule(kind, *_parts(pattern)))
    return ApprovalRules(found, sources)


def _parts(pattern: object) -> tuple[str, str | None]:
    match = _PATTERN.fullmatch(pattern) if isinstance(pattern, str) else None
    if match is None:
        raise ConfigError(f"{pattern!r} is no pattern of a call; write tool or tool(argument).")
    return match.group(1), match.group(2)


def _sources(table: object) -> Iterator[SourceRule]:
    if not isinstance(table, Mapping):
        raise ConfigError('Sources are a table: {"tool(argument)": ["tool that gives it"]}.')
    for pattern, names in table.items():
        tool, argument = _parts(pattern)
        listed = [names] if isinstance(names, str) else names
        if not isinstance(listed, (list, tuple)) or not all(isinstance(n, str) for n in listed):
            raise ConfigError(f"The sources of {pattern!r} are names of tools, not {names!r}.")
        yield SourceRule(tool, argument or "*", tuple(listed))
