"""Prints for people and pipes; text of models and documents cannot control the terminal."""

from __future__ import annotations

import re

import click

from qwenbelt.core.terminal import terminal_text

# what `click.style` makes of the colours that are used here; nothing that hides text
_OWN_STYLES = re.compile("(\x1b\\[(?:0|1|2|3[1-7]|9[1-7])m)")


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Prints text without control characters but for line feeds, tabs and our own colours."""
    parts = _OWN_STYLES.split(text) if "\x1b" in text else [text]
    shown = "".join(p if _OWN_STYLES.fullmatch(p) else terminal_text(p) for p in parts)
    click.echo(shown, err=err, nl=nl)
