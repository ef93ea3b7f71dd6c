"""Answers to calls from code: a value in a form that the session can read, or what went wrong."""

from __future__ import annotations

import base64
import math
import pickle
from typing import Any

_DEEPEST = 50


def answer_of(value: Any) -> dict[str, Any]:
    """Returns the answer that brings a value: as JSON where that loses nothing, else pickled.

    What is pickled here is read by the session, which trusts this side; never the reverse.
    """
    if _is_json(value):
        return {"ok": True, "value": value}
    try:
        data = pickle.dumps(value)
    except Exception:  # of anybody's class
        return {"ok": True, "value": str(value)}
    return {"ok": True, "form": "pickle", "value": base64.b64encode(data).decode()}


def failure(why: str, kind: str = "failed") -> dict[str, Any]:
    """Returns the answer that raises in the session."""
    return {"ok": False, "error": why, "kind": kind}


def _is_json(value: Any, depth: int = 0) -> bool:
    if value is None or isinstance(value, bool) or type(value) in (int, str):
        return True
    if type(value) is float:
        return math.isfinite(value)
    if depth > _DEEPEST:
        return False
    if type(value) is list:
        return all(_is_json(one, depth + 1) for one in value)
    return type(value) is dict and all(
        type(name) is str and _is_json(one, depth + 1) for name, one in value.items()
    )
