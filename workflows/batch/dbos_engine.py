"""The engine of durable workflows, `dbos`, which an extra installs."""

from __future__ import annotations

import functools
import importlib
from typing import Any

from qwenbelt.core.extras import require_extra


@functools.cache
def engine_module() -> Any:
    """Returns the module `dbos`.

    Raises:
        ConfigError: a part of the extra `durable` is not installed.
    """
    require_extra("durable")
    return importlib.import_module("dbos")
