"""Diagrams in Mermaid as SVG, drawn in a process of their own: the text is a stranger's."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import re
import subprocess
import sys
from collections import OrderedDict

import anyio

from qwenbelt.core.errors import ConfigError, InputError, one_line
from qwenbelt.core.secrets import clean_environment

MOST_SOURCE = 20_000  # characters
_MOST_DRAWN = 2_000_000
_SECONDS = 10.0
_KEPT = 64
_AT_ONCE = 2
_SLOW = "it takes too long"
# the renderer has limits of its own for large graphs; these hold where it has none
_PROGRAM = """
import sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
except (ImportError, ValueError, OSError):
    pass
import mmdr
source = sys.stdin.buffer.read().decode("utf-8", "replace")
try:
    sys.stdout.buffer.write(mmdr.render(source).svg().encode("utf-8"))
except Exception as error:
    sys.exit(str(error))
"""


class DiagramRenderer:
    """Draws Mermaid; keeps what it has drawn last."""

    def __init__(self) -> None:
        self._drawn: OrderedDict[str, str] = OrderedDict()
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def svg(self, source: str) -> str:
        """Returns a diagram as SVG.

        Raises:
            ConfigError: the renderer is not installed.
            InputError: the source is no diagram that can be drawn.
        """
        _check(source)
        if source not in self._drawn:
            async with self._places:
                self._drawn[source] = await _rendered(source)
            while len(self._drawn) > _KEPT:
                self._drawn.popitem(last=False)
        return self._drawn[source]


@functools.lru_cache(maxsize=_KEPT)
def drawn_diagram(source: str) -> str:
    """Returns a diagram as SVG, for a page or report that is written by a thread.

    Raises:
        ConfigError: the renderer is not installed.
        InputError: the source is no diagram that can be drawn.
    """
    _check(source)
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _PROGRAM],
            input=source.encode("utf-8", "replace"),
            capture_output=True,
            timeout=_SECONDS,
            env=clean_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"The diagram cannot be drawn: {_SLOW}.") from error
    return _told(done.returncode, done.stdout, done.stderr)


def svg_size(svg: str) -> tuple[float, float]:
    """Returns the width and height that an SVG is drawn in; 600 by 400 where it does not say."""
    found = re.search(r'viewBox="[-\d.e]+[ ,]+[-\d.e]+[ ,]+([\d.e]+)[ ,]+([\d.e]+)"', svg[:4000])
    width, height = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    return (width, height) if width > 0 and height > 0 else (600.0, 400.0)


def _check(source: str) -> None:
    if len(source) > MOST_SOURCE:
        raise InputError(f"A diagram of {len(source)} characters is not drawn.")
    if importlib.util.find_spec("mmdr") is None:
        raise ConfigError(
            "Diagrams need a renderer of Mermaid.", fix='pip install "qwenbelt[charts]"'
        )


def _told(status: int | None, told: bytes, wrong: bytes) -> str:
    if status != 0 or not told or len(told) > _MOST_DRAWN:
        reason = one_line(wrong.decode("utf-8", "replace"))[-200:] or _SLOW
        raise InputError(f"The diagram cannot be drawn: {reason}.")
    return told.decode("utf-8", "replace")


async def _rendered(source: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", _PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=clean_environment(),
    )
    told, wrong = b"", b""
    try:
        with anyio.move_on_after(_SECONDS):
            told, wrong = await process.communicate(source.encode("utf-8", "replace"))
    finally:
        if process.returncode is None:
            process.kill()
            with anyio.CancelScope(shield=True):
                await process.wait()
    return _told(process.returncode, told, wrong)
