"""Turns an endpoint spec into what recording needs: URL, key, model."""

from __future__ import annotations

from typing import Any

from qwenbelt.core.errors import ConfigError


def upstream_of(spec: str) -> dict[str, Any]:
    """Returns `upstream`, `api_key` and `model` for a spec or a base URL.

    Raises:
        ConfigError: the spec is not understood, or its key is missing.
    """
    if spec.startswith(("http://", "https://")):
        return {"upstream": spec}
    from qwenbelt.agents.models.dialects import DIALECTS
    from qwenbelt.agents.models.endpoints import endpoint, key_of

    cfg = endpoint(spec)
    dialect = DIALECTS.get(str(cfg.get("dialect")))
    if dialect is None:
        raise ConfigError(f"{spec} cannot be recorded.")
    key = key_of(cfg, dialect)
    found = {"upstream": cfg["model_server"], "model": cfg["model"]}
    return found if key == "EMPTY" else {**found, "api_key": key}
