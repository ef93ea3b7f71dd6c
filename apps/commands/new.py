"""`qwenbelt new`."""

from __future__ import annotations

import json

import click

from qwenbelt.apps.echo import echo
from qwenbelt.core.terminal import terminal_json
from qwenbelt.core.texts import Texts

_say = Texts(
    {
        "made": ("Made {folder}:", "已创建 {folder}："),
        "next": (
            'Next:\n  cd {folder}\n  pytest\n  qwenbelt run "…" -a agents/{name}.md',
            '接下来：\n  cd {folder}\n  pytest\n  qwenbelt run "…" -a agents/{name}.md',
        ),
    }
)


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option("--name", metavar="NAME", help="The agent's name; helper by default.")
@click.option("--language", type=click.Choice(["en", "zh"]), help="Yours by default.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def new(folder: str, name: str | None, language: str | None, as_json: bool) -> None:
    """Make a small project: an agent in a file, a test of it without a model, a CI file.

    Nothing that is there is overwritten.
    """
    from qwenbelt.apps.project import make_project

    made = make_project(folder, name or "helper", language)
    if as_json:
        found = {"folder": str(made.folder), "agent": made.name, "files": made.files}
        echo(terminal_json(json.dumps(found, ensure_ascii=False, indent=2)))
        return
    echo(_say.for_user("made", folder=made.folder))
    for file in made.files:
        echo(f"  {file}")
    echo(_say.for_user("next", folder=folder, name=made.name))
