"""What concerns all users of a server: endpoints, allowed tools, quotas, and who used how much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qwenbelt.apps.gui.kept.store import ChatStore
from qwenbelt.apps.gui.strings import PageError

TEAM = "\x01team"  # no user: names are printable
_MOST = 500


@dataclass(frozen=True)
class TeamRules:
    """What an administrator has set.

    Attributes:
        endpoints: specs that people may choose, besides those the server was started with.
        tools: names of the only tools that may be used; None for all that the server offers.
        quotas: for each user, and for "" everybody else, tokens and cost of a month at most.
    """

    endpoints: tuple[str, ...] = ()
    tools: tuple[str, ...] | None = None
    quotas: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def kept(cls, store: ChatStore) -> TeamRules:
        """Returns the rules as they are kept."""
        body = store.settings(TEAM)
        tools = body.get("tools")
        return cls(
            tuple(body.get("endpoints") or ()),
            tuple(tools) if isinstance(tools, list) else None,
            body.get("quotas") or {},
        )

    def check(self, store: ChatStore, user: str) -> None:
        """Lets a user ask while the quota lasts.

        Raises:
            PageError: it is used up.
        """
        quota = self.quotas.get(user) or self.quotas.get("") or {}
        if not quota:
            return
        used = store.usage(user)
        for name, text in (("tokens", "quota_tokens"), ("cost", "quota_cost")):
            limit = quota.get(name)
            if limit is not None and used[name] >= limit:
                raise PageError(text, limit=f"{limit:g}", used=f"{used[name]:g}")

    def allowed(self, tools: Sequence[str]) -> list[str]:
        """Returns those of some tools that may be used."""
        return [name for name in tools if self.tools is None or name in self.tools]


def save_rules(store: ChatStore, body: Mapping[str, Any], known_tools: Sequence[str]) -> None:
    """Keeps rules that an administrator has sent.

    Raises:
        PageError: a part has another form.
    """
    endpoints, tools, quotas = (body.get(name) for name in ("endpoints", "tools", "quotas"))
    if not _texts(endpoints) or not (tools is None or _texts(tools)):
        raise PageError("team_form")
    if not isinstance(quotas, dict) or len(quotas) > _MOST:
        raise PageError("team_form")
    read = {str(user): _quota(given) for user, given in quotas.items()}
    rules = {
        "endpoints": [spec.strip() for spec in endpoints or () if spec.strip()],
        "tools": None if tools is None else [name for name in tools if name in known_tools],
        "quotas": {user: quota for user, quota in read.items() if quota},
    }
    for name, value in rules.items():
        store.change_setting(TEAM, name, lambda *_, value=value: value)


def _texts(given: Any) -> bool:
    return (
        isinstance(given, list) and len(given) <= _MOST and all(isinstance(g, str) for g in given)
    )


def _quota(given: Any) -> dict[str, float]:
    if not isinstance(given, dict):
        raise PageError("team_form")
    out = {}
    for name in ("tokens", "cost"):
        value = given.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise PageError("team_form")
        if not math.isfinite(value) or value < 0:
            raise PageError("team_form")
        out[name] = float(value)
    return out
