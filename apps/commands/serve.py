"""`qwenbelt serve`: an agent as an OpenAI-compatible server."""

from __future__ import annotations

import os
from typing import Any, Literal

import click
from click.core import ParameterSource

from qwenbelt.apps.agent_choice import AgentChoice, agent_options
from qwenbelt.apps.echo import echo
from qwenbelt.apps.strings import say


@click.command()
@agent_options
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve on.")
@click.option("--port", default=8808, show_default=True, help="The port; 0 takes a free one.")
@click.option("--name", help="The model's name; the agent's, or qwenbelt.")
@click.option("--token", metavar="TEXT", help="The bearer token; or QWENBELT_SERVE_TOKEN.")
@click.option(
    "--activity",
    type=click.Choice(["reasoning", "notes", "none"]),
    default="reasoning",
    show_default=True,
    help="Calls of tools are told as thoughts, as notes in the text, or not.",
)
@click.option(
    "--origin", "origins", multiple=True, metavar="URL", help="A web page that may ask; repeatable."
)
@click.option(
    "--store",
    default="",
    envvar="QWENBELT_SERVE_STORE",
    metavar="PLACE",
    help="Keep replies for previous_response_id and background: a SQLite file or postgresql://….",
)
@click.option(
    "--approvals",
    is_flag=True,
    help="Ask the client where a call needs an approval, in /v1/responses; needs --store.",
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Processes behind the port; replies are then kept in --store, by default a SQLite file.",
)
@click.option(
    "--grace",
    default=30,
    show_default=True,
    type=click.IntRange(0, 3600),
    metavar="SECONDS",
    help="How long open answers may go on after SIGTERM.",
)
@click.option(
    "--log",
    type=click.Choice(["none", "json"]),
    default="none",
    show_default=True,
    help="A line of JSON on stderr for each answer.",
)
def serve(
    host: str,
    port: int,
    name: str | None,
    token: str | None,
    activity: Literal["reasoning", "notes", "none"],
    origins: tuple[str, ...],
    store: str,
    approvals: bool,
    workers: int,
    grace: int,
    log: Literal["none", "json"],
    **chosen: Any,
) -> None:
    """Serve an agent as an OpenAI-compatible endpoint.

    Open WebUI, Cherry Studio, Chatbox or any OpenAI client can use it: base URL
    http://HOST:PORT/v1, any API key, or the token if there is one. Calls with effects that nobody
    trusts beforehand are refused; --approve auto allows them, --approvals asks the client.
    """
    from qwenbelt.apps.agent_choice import make_agent, trusted_tools
    from qwenbelt.apps.serve import ServeOptions, serve_agent
    from qwenbelt.apps.serve.workers import inherited_socket, run_workers
    from qwenbelt.core.settings import load_settings

    if click.get_current_context().get_parameter_source("approve") is ParameterSource.DEFAULT:
        chosen["approve"] = "ask"  # there is no person who could answer: effects are refused
    inherited = inherited_socket()
    if workers > 1 and inherited is None:
        run_workers(workers, host, port, grace)
        return
    choice = AgentChoice.of_options(**chosen)
    described = choice.described.name if choice.described else "qwenbelt"
    folder = load_settings().workspace / "serve"
    folder.mkdir(parents=True, exist_ok=True)
    options = ServeOptions(
        name=name or described,
        host=host,
        port=port,
        token=token or os.environ.get("QWENBELT_SERVE_TOKEN", ""),
        activity=activity,
        folder=folder,
        origins=origins,
        store=store or (str(folder / "responses.db") if workers > 1 else ""),
        grace=grace,
        log=log,
        approvals=approvals,
    )
    agent = make_agent(choice)

    def ready(url: str) -> None:
        if inherited is None:  # else the process that started this worker has printed it
            echo(say("serving", url=url))

    serve_agent(agent, options, trusted_tools(agent), ready, inherited)
