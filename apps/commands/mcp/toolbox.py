"""`qwenbelt mcp serve toolbox`: the toolbox, with agents as tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click

from qwenbelt.mcp_servers import toolbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwenbelt.tools.operation import Operation


def toolbox_command() -> click.Command:
    """Returns the toolbox's command with the options that take agents.

    The server itself lies below the agents and knows nothing of them.
    """
    inner = toolbox.command
    serve = cast("Callable[..., Any]", inner.callback)
    agents = click.Option(
        ["--agent", "agents"],
        multiple=True,
        metavar="NAME|FILE",
        help="Offer this agent as a tool, with progress and tasks; may be repeated.",
    )
    approve = click.Option(
        ["--approve"],
        type=click.Choice(["never", "auto"]),
        default="never",
        show_default=True,
        help="What agents may do that a person would be asked about: nothing, or everything.",
    )

    def run(agents: tuple[str, ...], approve: Any, **given: Any) -> Any:
        offered: list[Operation] = []
        if agents:
            from qwenbelt.agents.served_agents import agent_operation

            offered = [agent_operation(which, approve) for which in agents]
        return serve(offered=offered, **given)

    return click.Command(
        inner.name,
        params=[*inner.params, agents, approve],
        callback=run,
        help=inner.help,
        context_settings=inner.context_settings,
    )
