"""The entry point of the program `qwenbelt`: Ctrl-C may come before there is a command line."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Runs the command line; interrupted at any moment, it says so in one line."""
    try:
        try:
            from qwenbelt.apps.cli import main as command_line  # takes a while on a busy machine

            command_line()
        finally:
            _end_at_once()
    except KeyboardInterrupt:
        _end_at_once()
        from qwenbelt.core.errors import EXIT_INTERRUPTED
        from qwenbelt.core.language import user_language

        print("Interrupted." if user_language() == "en" else "已中断。", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


def _end_at_once() -> None:
    """Lets Ctrl-C end the process: only the interpreter's own end is left."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
