"""What a million tokens cost: a table in `prices.json`, and people's own in `qwenbelt.toml`.

[prices]
"qwen-plus" = [0.8, 2.0]    # in, out
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from qwenbelt.agents.models.deltas import Tokens
from qwenbelt.core.settings import load_settings

# shares of the input price in DashScope's explicit cache; see `cache_planner` for the source
EXPLICIT_HIT, EXPLICIT_WRITE = 0.1, 1.25


@dataclass(frozen=True)
class Price:
    """Money for a million tokens in and a million out; `currency` is "" when it is not known.

    Attributes:
        cached: the share of `input` that tokens cost which an endpoint found in its own cache.
    """

    input: float
    output: float
    currency: str = ""
    cached: float = 1.0

    def of(self, tokens: Tokens) -> float:
        """Returns what the tokens of a reply cost."""
        hit = EXPLICIT_HIT if tokens.explicit else self.cached
        full = tokens.input - tokens.cached - tokens.written
        read = full + tokens.cached * hit + tokens.written * EXPLICIT_WRITE
        return (read * self.input + tokens.output * self.output) / 1e6


def price_of(url: str, model: str) -> Price | None:
    """Returns a model's price at an endpoint: the person's own, else the table's; None if unknown.

    Names are not guessed from: a dated snapshot has the price of its own name only.
    """
    own = load_settings().prices.get(model)
    if own is not None:
        return Price(*own)
    host = _price_table()["hosts"].get(urlsplit(url).hostname or "", {})
    listed = host.get("models", {}).get(model)
    return (
        Price(listed[0], listed[1], host["currency"], host.get("cached", 1.0)) if listed else None
    )


@functools.cache
def _price_table() -> dict[str, Any]:
    text = importlib.resources.files("qwenbelt.agents.models").joinpath("prices.json")
    table: dict[str, Any] = json.loads(text.read_text(encoding="utf-8"))
    return table
