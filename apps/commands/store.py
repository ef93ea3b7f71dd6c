"""`qwenbelt store`: what sessions and servers keep, written to a file and read from one."""

from __future__ import annotations

from pathlib import Path

import click

from qwenbelt.apps.echo import echo
from qwenbelt.apps.strings import say


@click.command()
@click.argument("place", metavar="PLACE")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
def dump(place: str, file: Path) -> None:
    """Write all sessions and kept replies of PLACE to FILE, one JSON object a line.

    PLACE is a SQLite file or postgresql://…; others may go on writing meanwhile.
    """
    from qwenbelt.agents.sessions.dump import dump_store

    echo(say("dumped", rows=dump_store(place, file), file=file))


@click.command()
@click.argument("place", metavar="PLACE")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
def restore(place: str, file: Path) -> None:
    """Read what dump wrote into PLACE, all of it or nothing.

    PLACE may be of the other kind than it was dumped from. Rows that are there already are refused.
    """
    from qwenbelt.agents.sessions.dump import restore_store

    echo(say("restored", rows=restore_store(place, file), place=place))
