"""Rules that settle questions of approval: `{"allow": [...], "ask": [...], "never": [...]}`.

A pattern is `tool` or `tool(argument)`, both with `*` and `?` as in file names. `never` beats
`ask`, and `ask` beats `allow`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from qwenbelt.agents.runtime.provenance import leaves, targets_of
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
        """Says whether the rule speaks of a call.

        What forbids or asks fits when any value does; what allows must fit all targets.
        """
        if not fnmatch.fnmatchcase(name, self.tool):
            return False
        if self.argument is None:
            return True
        if self.kind != "allow":
            return any(fnmatch.fnmatchcase(leaf, self.argument) for leaf in leaves(values))
        targets = targets_of(tool)
        if isinstance(values, Mapping) and targets:
            values = [value for key, value in values.items() if key in targets]
        found = list(leaves(values))
        return bool(found) and all(
            fnmatch.fnmatchcase(leaf, self.argument) and not _UP.search(leaf) for leaf in found
        )


class ApprovalRules:
    """Rules in their order of weight."""

    def __init__(self, rules: Iterable[ApprovalRule] = ()) -> None:
        self._rules = sorted(rules, key=lambda rule: _KINDS.index(rule.kind))

    def __bool__(self) -> bool:
        return bool(self._rules)

    def of(self, tool: Any, name: str, values: Any) -> Kind | None:
        """Returns what the rules say of a call, or None when they say nothing."""
        fitting = (rule.kind for rule in self._rules if rule.fits(tool, name, values))
        return next(fitting, None)


def checked_rules(table: Mapping[str, Any]) -> ApprovalRules:
    """Returns the rules of a table.

    Raises:
        ConfigError: it has other keys, or a pattern cannot be read.
    """
    found = []
    for key, patterns in table.items():
        kind = next((kind for kind in _KINDS if kind == key), None)
        if kind is None:
            raise ConfigError(f"Approval rules are allow, ask and never, not {key!r}.")
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            match = _PATTERN.fullmatch(pattern) if isinstance(pattern, str) else None
            if match is None:
                raise ConfigError(
                    f"{pattern!r} is no pattern of a call; write tool or tool(argument)."
                )
            found.append(ApprovalRule(kind, match.group(1), match.group(2)))
    return ApprovalRules(found)
