"""The command line `qwenbelt`: finds the command, and turns every error into one clear line.

Exit codes: 0 ok, 1 failed, 2 usage, 3 endpoint, 4 refused, 130 interrupted.
"""

from __future__ import annotations

import errno
import importlib
import importlib.util
import io
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

import click

from qwenbelt.apps.echo import echo
from qwenbelt.apps.table import COMMANDS, CommandTarget
from qwenbelt.core.errors import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    InputError,
    QwenbeltError,
    one_line,
)
from qwenbelt.core.extras import missing_extra
from qwenbelt.core.language import user_language

COMPLETION_VARIABLE = "_QWENBELT_COMPLETE"
_HOME = "qwenbelt.apps.commands"
_NO_COMMAND = re.compile(r"^(?:No such command|没有命令) ['\"“]?([^'\"”]{1,80}?)['\"”]?(?:[.。]|$)")
_PLAIN_WORD = re.compile(r"[a-z]+")
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_VERSION_HELP = {"en": "Show the version and exit.", "zh": "显示版本并退出。"}
_BRIEF = {
    "en": "A tool belt for Qwen agents.\n\n--debug, anywhere, shows tracebacks.",
    "zh": "Qwen 智能体的工具带。\n\n任意位置加 --debug 可显示完整的错误回溯。",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, not when they are listed."""

    def __init__(
        self, name: str, members: Mapping[str, CommandTarget], otherwise: str = "", **kwargs: Any
    ) -> None:
        super().__init__(name, **kwargs)
        self.members = members
        self.otherwise = otherwise

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts the name of the member that may be left out before its options."""
        if self.otherwise and args and args[0].startswith("-") and args[0] not in ("-h", "--help"):
            args = [self.otherwise, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Gives words that begin with no command's name to the member that may be left out."""
        # one plain word is more likely a mistyped command
        if self.otherwise and not _PLAIN_WORD.fullmatch(args[0]):
            args = [self.otherwise, *args]
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names of the commands that are there, in the table's order."""
        return [name for name, place in self.members.items() if _there(place)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports and returns one command."""
        place = self.members.get(cmd_name)
        if place is None or not _there(place):
            return None
        if not place.home:
            return LazyGroup(cmd_name, place.members, place.otherwise, help=_place_line(place))
        module, _, attribute = place.home.partition(":")
        found = getattr(importlib.import_module(f"{_HOME}.{module}"), attribute, None)
        if not isinstance(found, click.Command):
            return None
        return _localised_command(found, self.name or "")

    def words_of(self, name: str) -> list[str]:
        """Returns the words of a command's line in the help, in small letters."""
        return re.findall(r"\w+", self.members[name].english.casefold())

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands from the table, importing none of them."""
        rows = [(name, _place_line(self.members[name])) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def _localised_command(command: click.Command, group: str) -> click.Command:
    """Returns a command as this person and this shell need it: in Chinese, with completion."""
    if user_language() == "zh":
        from qwenbelt.apps.help_words import in_chinese

        command = in_chinese(command)
    if os.environ.get(COMPLETION_VARIABLE):
        from qwenbelt.apps.completion import with_completion

        command = with_completion(command, group)
    return command


def _place_line(place: CommandTarget) -> str:
    return place.chinese if user_language() == "zh" else place.english


def _there(place: CommandTarget) -> bool:
    if not place.home:
        return any(_there(member) for member in place.members.values())
    module = place.home.partition(":")[0]
    return importlib.util.find_spec(f"{_HOME}.{module}") is not None


def _version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        echo(f"qwenbelt {version('qwenbelt')}")
        ctx.exit()


def root() -> LazyGroup:
    """Returns the root command."""
    return LazyGroup(
        "qwenbelt",
        COMMANDS,
        help=_BRIEF[user_language()],
        context_settings={"help_option_names": ["-h", "--help"]},
        params=[
            click.Option(
                ["--version"],
                is_flag=True,
                expose_value=False,
                is_eager=True,
                callback=_version,
                help=_VERSION_HELP[user_language()],
            )
        ],
    )


def run(arguments: Sequence[str]) -> int:
    """Runs the command line and returns the exit code; no exception leaves it.

    Args:
        arguments: as typed, without the program's name. `--debug` may be anywhere before a
            lone `--`; it (or QWENBELT_DEBUG=1) shows tracebacks.
    """
    words, debug = _without_debug(arguments)
    if user_language() == "zh":
        from qwenbelt.apps.help_words import speak_chinese

        speak_chinese()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")
    output = sys.stdout
    try:
        result = root().main(words, prog_name="qwenbelt", standalone_mode=False)
        sys.stdout.flush()
    except BaseException as error:  # the one place where any becomes a line and an exit code
        if debug and not isinstance(error, (click.exceptions.Exit, SystemExit)):
            import traceback

            traceback.print_exc()
        # click swallows a broken pipe: it wraps the streams and exits
        if isinstance(error, BrokenPipeError) or sys.stdout is not output:
            return _reader_gone(output)
        return _report_error(error)
    return result if isinstance(result, int) else EXIT_OK


def _without_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    words = list(arguments)
    end = words.index("--") if "--" in words else len(words)
    head = [word for word in words[:end] if word != "--debug"]
    debug = len(head) < end or os.environ.get("QWENBELT_DEBUG", "") not in ("", "0")
    return head + words[end:], debug


def _report_error(error: BaseException) -> int:
    """Returns what went wrong on stderr and returns the exit code."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, (KeyboardInterrupt, EOFError, click.Abort)):
        _say("Interrupted." if user_language() == "en" else "已中断。")
        return EXIT_INTERRUPTED
    if isinstance(error, click.ClickException):
        # only now: who raises it speaks English
        error.message = _localised(error.message)  # type: ignore[misc]
        shown = _with_guess(error) if isinstance(error, click.UsageError) else error
        shown.show()
        return shown.exit_code
    chinese = user_language() == "zh"
    if isinstance(error, QwenbeltError):
        _say(("错误：" if chinese else "Error: ") + one_line(_localised(error), 2000))
        return error.exit_code
    if isinstance(error, ImportError) and (extra := missing_extra(error)) is not None:
        return _report_error(extra)
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return _report_error(_disk_full(error))
    told = f"{type(error).__name__}: {one_line(error)}"
    if chinese:
        _say(f"内部错误：{told}（--debug 可显示位置）。")
    else:
        _say(f"Internal error: {told} (--debug shows where).")
    return EXIT_FAILED


def _disk_full(error: OSError) -> InputError:
    if error.filename:
        return InputError(f"{error.filename}: cannot be written ({error.strerror}).")
    return InputError(f"The output cannot be written ({error.strerror}).")


def _localised(error: BaseException | str) -> str:
    if user_language() != "zh":  # English needs no catalogue
        return str(error)
    from qwenbelt.core.translation import in_language

    return in_language(error, "zh")


def _with_guess(error: click.UsageError) -> click.UsageError:
    """Returns the error of an unknown command or option with those that it may have meant."""
    chinese = user_language() == "zh"
    if isinstance(error, click.NoSuchOption):
        return _guessed(error.option_name, error.possibilities or (), error, "选项", "option")
    if isinstance(error, click.MissingParameter) and chinese:
        text = error.format_message().rstrip().removesuffix(".")
        return click.UsageError(f"{text}。", error.ctx)
    group = error.ctx.command if error.ctx is not None else None
    found = _NO_COMMAND.search(error.message)
    if found is None or error.ctx is None or not isinstance(group, click.Group):
        return error
    import difflib

    known = group.list_commands(error.ctx)
    # letters in another order ("rnu") count as much as letters in common
    close = [name for name in known if sorted(name) == sorted(found[1].casefold())]
    close += difflib.get_close_matches(found[1].casefold(), known, n=3, cutoff=0.6)
    if not close and isinstance(group, LazyGroup):  # `ask`: a word of what commands do
        close = [name for name in known if found[1].casefold() in group.words_of(name)]
    return _guessed(found[1], dict.fromkeys(close), error, "命令", "command")


def _guessed(
    name: str, close: Iterable[str], error: click.UsageError, chinese: str, english: str
) -> click.UsageError:
    names = ", ".join(close)
    if user_language() == "zh":
        text = f"没有{chinese}“{name}”。" + (f"您是否想输入：{names}？" if names else "")
    else:
        text = f"No such {english} '{name}'." + (f" Did you mean {names}?" if names else "")
    return click.UsageError(text, error.ctx)


def _reader_gone(output: TextIO) -> int:
    """Makes sure that nothing is written at exit to a pipe whose reader left, as `head` does."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())
    return EXIT_OK


def _say(line: str) -> None:
    from qwenbelt.core.secrets import mask_secrets

    echo(mask_secrets(line), err=True)


def main() -> None:
    """The entry point of the program `qwenbelt`."""
    sys.exit(run(sys.argv[1:]))
