"""`qwenbelt model`: model files for the embedded engine."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from qwenbelt.apps.echo import echo
from qwenbelt.core.terminal import terminal_json

_SIZE = 1_000_000


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def model() -> None:
    """Model files for the embedded engine (`-e local:NAME`)."""


@model.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def list_models(as_json: bool) -> None:
    """List the models that are here, and known names that can be pulled."""
    from qwenbelt.agents.models.local_files import KNOWN, installed_models, models_folder

    here = installed_models()
    if as_json:
        rows = [{"name": m.name, "path": str(m.path), "bytes": m.size} for m in here]
        found: dict[str, Any] = {"models": rows, "folder": str(models_folder())}
        echo(terminal_json(json.dumps({**found, "known": KNOWN}, ensure_ascii=False, indent=2)))
        return
    for entry in here:
        echo(f"{entry.name:<24} {entry.size / _SIZE:>8.0f} MB  {entry.path}")
    names = {entry.name for entry in here}
    for name, place in KNOWN.items():
        if name not in names:
            echo(f"{name:<24} {'not here':>11}  {place}")


@model.command()
@click.argument("name")
@click.option("--hub", type=click.Choice(["modelscope", "huggingface"]), help="Ask this hub only.")
def pull(name: str, hub: str | None) -> None:
    """Download a model: a known name, or OWNER/REPOSITORY/FILE.gguf.

    A download that broke off is taken up where it stopped.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from qwenbelt.agents.models.local_files import pull_model

    shown = TextColumn("{task.description}", markup=False)
    columns = (shown, BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as bar:
        task = bar.add_task(name, total=None)

        def show(there: int, total: int) -> None:
            bar.update(task, completed=there, total=total)

        path = pull_model(name, hub=hub or "", progress=show)
    echo(str(path))


@model.command()
@click.argument("name")
def rm(name: str) -> None:
    """Delete a pulled model."""
    from qwenbelt.agents.models.local_files import remove_model

    gone = remove_model(name)
    echo(f"{gone.path} ({gone.size / _SIZE:.0f} MB)")
