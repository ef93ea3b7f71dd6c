"""Inside a kernel: a Plotly figure is shown as an HTML page, and as a picture where possible.

Plotly itself shows a description that only a notebook draws. A picture needs kaleido, which needs a
browser; where one of them is missing, there is the page alone.
"""

from __future__ import annotations

from typing import Any

FIGURE = "application/vnd.plotly.v1+json"


def drawn(data: dict[str, Any]) -> dict[str, Any]:
    """Returns displayed data with a Plotly figure as HTML that needs no network, and as PNG."""
    if not isinstance(data.get(FIGURE), dict):
        return data
    figure = {key: value for key, value in data[FIGURE].items() if key in ("data", "layout")}
    try:
        import plotly.io

        page = plotly.io.to_html(figure, include_plotlyjs=True, validate=False)
    except Exception:  # what the figure holds is anybody's
        return data
    shown = {FIGURE: {}, "text/html": page, "text/plain": "Plotly figure"}
    try:
        import base64

        import kaleido  # noqa: F401  asked for first: without it Plotly prints a long text

        picture = plotly.io.to_image(figure, "png", validate=False)
        shown["image/png"] = base64.b64encode(picture).decode("ascii")
    except Exception:  # noqa: S110  no kaleido, or no browser
        pass
    return shown
