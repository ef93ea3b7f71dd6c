"""The chat in the browser."""

from __future__ import annotations

from qwenbelt.apps.gui.web_ui import WebUI

__all__ = ["WebUI"]
