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

from qwenbelt.core.settings import load_settings


@dataclass(frozen=True)
class Price:
    """Money for a million tokens in and a million out; `currency` is "" when nobody told it."""

    input: float
    output: float
    currency: str = ""

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """Returns what so many tokens cost."""
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


def price_of(url: str, model: str) -> Price | None:
    """Returns a model's price at an endpoint: the person's own, else the table's; None if unknown.

    Names are not guessed from: a dated snapshot has the price of its own name only.
    """
    own = load_settings().prices.get(model)
    if own is not None:
        return Price(*own)
    host = _table()["hosts"].get(urlsplit(url).hostname or "", {})
    listed = host.get("models", {}).get(model)
    return Price(listed[0], listed[1], host["currency"]) if listed else None


@functools.cache
def _table() -> dict[str, Any]:
    text = importlib.resources.files("qwenbelt.agents.models").joinpath("prices.json")
    table: dict[str, Any] = json.loads(text.read_text(encoding="utf-8"))
    return table
