"""`qwenbelt completion`."""

from __future__ import annotations

from pathlib import Path

import click

from qwenbelt.apps.echo import echo
from qwenbelt.core.texts import Texts

_say = Texts(
    {
        "written": (
            "{path} is written; open a new shell.",
            "已写入 {path}；请打开新的终端。",
        ),
        "zsh": (
            "In ~/.zshrc, before compinit: fpath=(~/.zfunc $fpath)",
            "请在 ~/.zshrc 的 compinit 之前加入：fpath=(~/.zfunc $fpath)",
        ),
    }
)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.option("--install", is_flag=True, help="Write it where the shell looks for it.")
def completion(shell: str, install: bool) -> None:
    """Let the Tab key complete commands, options, files, models, agents and tools.

    Prints what SHELL has to read: eval "$(qwenbelt completion bash)" in ~/.bashrc, say; --install
    writes it into the shell's own folder for completions instead.
    """
    from qwenbelt.apps.cli import root
    from qwenbelt.apps.completion import completion_file, completion_script
    from qwenbelt.core.files import write_text

    text = completion_script(shell, root())
    if not install:
        click.echo(text)
        return
    path = Path(completion_file(shell))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text + "\n")
    echo(_say.for_user("written", path=path))
    if shell == "zsh":
        echo(_say.for_user("zsh"))
