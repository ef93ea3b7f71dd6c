"""Figures are shown, whichever backend a script asks for.

Scripts that models write begin with `matplotlib.use("Agg")`, or ask for a window (TkAgg): then
`plt.show()` would show nothing, or fail. The same holds for `image.show()` of Pillow, which starts
a viewer that nobody sees.
"""

from __future__ import annotations

import os
import sys
from typing import Any

INLINE = "module://matplotlib_inline.backend_inline"


def install() -> None:
    """Shows figures inline, now and whatever backend is asked for; before any code runs."""
    os.environ["MPLBACKEND"] = INLINE
    matplotlib: Any = sys.modules.get("matplotlib")
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    if matplotlib is not None:
        matplotlib.use(INLINE)
        original = matplotlib.use

        def use(backend: str, **options: Any) -> None:
            if str(backend).startswith("module://"):
                original(backend, **options)

        matplotlib.use = use
    if pyplot is not None:
        switch = pyplot.switch_backend

        def switch_backend(newbackend: Any) -> None:
            switch(newbackend if str(newbackend).startswith("module://") else INLINE)

        pyplot.switch_backend = switch_backend
    pillow: Any = sys.modules.get("PIL.Image")
    if pillow is not None:
        pillow.Image.show = lambda image, *args, **options: _display(image)


def _display(image: Any) -> None:
    from IPython import display

    shown: Any = display
    shown.display(image)
