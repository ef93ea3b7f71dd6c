"""Small models on the user's own machine: they are asked shortly, and their replies have an end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_MAY_THINK = re.compile(r"qwen-?3|think|qwq|\br1\b", re.I)  # thoughts count as tokens written
SHORT_REPLY = 600  # tokens of one to three sentences with their citations, and some more
_SMALL = re.compile(r"(?<![\d.])[0-3](?:\.\d+)?b(?![a-z])", re.I)  # in names: up to 4 billion


def is_small_model(llm: Any) -> bool:
    """Returns whether a model is a small one on the user's own machine.

    Qwen2.5-Coder 1.5B, given the tools and how to write a report, wrote 1 700 tokens of headings
    and tables for minutes, none of which stood on a page; asked shortly, it answers in a sentence.

    Args:
        llm: an endpoint's spec, an llm dict or a model object.
    """
    from qwenbelt.agents.fncall import with_model_type
    from qwenbelt.agents.models.fallback import model_of

    cfg = with_model_type(llm)
    if not isinstance(cfg, Mapping) or cfg.get("model_type") != "qwenbelt":
        return False
    model = model_of(cfg)
    return model.is_led and _SMALL.search(model.name) is not None


def _ends_soon(llm: Mapping[str, Any]) -> bool:
    """Returns whether a short answer needs few tokens: a model that thinks may need many."""
    from qwenbelt.agents.fncall import with_model_type
    from qwenbelt.agents.models.fallback import model_of

    if not is_small_model(llm):
        return False
    model = model_of(with_model_type(llm))
    return model.thinks_not or _MAY_THINK.search(model.name) is None


def at_zero(llm: Any) -> Any:
    """Returns an llm dict with temperature 0 for reading, unless it sets another."""
    return _with_defaults(llm, {"temperature": 0})


def reading(llm: Any) -> Any:
    """Returns an llm dict for short answers from passages: of small models, with an end.

    Qwen2.5-Coder 1.5B, told that an answer was wrong, wrote signs that a llama.cpp server sends
    nothing of, until the window would have been full.
    """
    if not isinstance(llm, Mapping):
        return llm
    return _with_defaults(at_zero(llm), {"max_tokens": SHORT_REPLY} if _ends_soon(llm) else {})


def _with_defaults(llm: Any, defaults: Mapping[str, Any]) -> Any:
    if not isinstance(llm, Mapping):
        return llm
    return {**llm, "generate_cfg": {**defaults, **(llm.get("generate_cfg") or {})}}
