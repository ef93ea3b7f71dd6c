"""`qwenbelt gui`: the chat in the browser."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from qwenbelt.apps.agent_choice import AgentChoice, agent_options
from qwenbelt.apps.echo import echo
from qwenbelt.apps.strings import say

if TYPE_CHECKING:
    from qwenbelt.apps.gui.voice import VoiceChoice


@click.command()
@agent_options
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve on.")
@click.option("--port", default=7860, show_default=True, help="The port; 0 takes a free one.")
@click.option("--auth", multiple=True, metavar="USER:PASSWORD", help="An account; repeatable.")
@click.option("--auth-file", metavar="FILE", help="Accounts, one USER:PASSWORD a line.")
@click.option(
    "--offer", "offered", multiple=True, metavar="SPEC", help="A further endpoint to choose from."
)
@click.option(
    "--store", metavar="PLACE", help="Share conversations: a SQLite file or postgresql://..."
)
@click.option(
    "--files", metavar="PLACE", help="With PostgreSQL: folder or URL for large files of all."
)
@click.option(
    "--auth-header", metavar="NAME", help="Header in which a trusted proxy names the user."
)
@click.option(
    "--trusted-proxy",
    "proxies",
    multiple=True,
    metavar="ADDRESS",
    help="Address or network of a proxy that may name users; can be repeated.",
)
@click.option("--oidc-issuer", metavar="URL", help="OpenID provider at which people log in.")
@click.option("--oidc-client", metavar="ID", help="This server's name at the provider.")
@click.option(
    "--oidc-claim",
    default="email",
    show_default=True,
    help="What of the ID token names the user; an e-mail address must be verified.",
)
@click.option("--public-url", metavar="URL", default="", help="This server as browsers see it.")
@click.option("--admin", "admins", multiple=True, metavar="USER", help="A user who sees /qb/admin.")
@click.option("--speech-to-text", metavar="SPEC", help="Model that hears, e.g. openai:whisper-1.")
@click.option("--text-to-speech", metavar="SPEC", help="Model that speaks, e.g. openai:tts-1.")
@click.option("--voice", metavar="NAME", help="The voice that it speaks with.")
@click.option("--open", "browse", is_flag=True, help="Open it in the browser.")
def gui(
    host: str,
    port: int,
    auth: tuple[str, ...],
    auth_file: str | None,
    offered: tuple[str, ...],
    store: str | None,
    files: str | None,
    auth_header: str | None,
    proxies: tuple[str, ...],
    oidc_issuer: str | None,
    oidc_client: str | None,
    oidc_claim: str,
    public_url: str,
    admins: tuple[str, ...],
    speech_to_text: str | None,
    text_to_speech: str | None,
    voice: str | None,
    browse: bool,
    **chosen: Any,
) -> None:
    """Chat in the browser.

    A public address needs accounts (--auth, --auth-file, or QWENBELT_AUTH), or a proxy that logs
    people in (--auth-header, --trusted-proxy), or an OpenID provider (--oidc-issuer,
    --oidc-client; its secret in QWENBELT_OIDC_SECRET; it sends people back to /login/done).
    """
    from qwenbelt.apps.agent_choice import make_agent
    from qwenbelt.apps.gui.access.guards import read_accounts
    from qwenbelt.apps.gui.access.oidc_login import OidcLogin
    from qwenbelt.apps.gui.access.proxy_login import ProxyLogin
    from qwenbelt.apps.gui.given import Given
    from qwenbelt.apps.gui.server import GuiOptions, serve_chat

    given = (*auth, *filter(None, [os.environ.get("QWENBELT_AUTH", "")]))
    proxy = ProxyLogin.read(auth_header, proxies) if auth_header else None
    provider = None
    if oidc_issuer:
        provider = OidcLogin.read(oidc_issuer, oidc_client, oidc_claim, public_url)
    options = GuiOptions(
        host,
        port,
        read_accounts(given, auth_file),
        endpoints=offered,
        store=store,
        files=files,
        proxy=proxy,
        provider=provider,
        admins=admins,
        voice=_voice(speech_to_text, text_to_speech, voice),
    )

    def ready(url: str) -> None:
        echo(say("serving", url=url))
        if browse:
            click.launch(url)

    choice = AgentChoice.of_options(**chosen)
    answers = Given([make_agent(choice)], trusting=True) if choice.described else None
    serve_chat(choice, options, ready, answers)


def _voice(hears: str | None, speaks: str | None, voice: str | None) -> VoiceChoice:
    """Returns which models hear and speak: as typed, else as in the settings."""
    from qwenbelt.apps.gui.voice import VoiceChoice
    from qwenbelt.core.settings import load_settings

    known = load_settings()
    return VoiceChoice(
        hears or known.speech_to_text or "",
        speaks or known.text_to_speech or "",
        voice or known.voice or "",
    )
