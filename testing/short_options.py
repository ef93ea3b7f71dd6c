"""A pytest plugin for projects that want our options by short names, such as `--golden`.

    [tool.pytest.ini_options]
    addopts = "-p qwenbelt.testing.short_options"

Without it only the long names exist, so that installing this package takes no name away from
another project's conftest.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--NAME` beside `--qwenbelt-NAME`."""
    from qwenbelt.testing.plugin import add_options

    add_options(parser, "--")
