"""`WebUI`: qwen-agent's entry to its chat, with ours behind it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.core.errors import ConfigError

if TYPE_CHECKING:
    from qwenbelt.apps.gui.given import Given


class WebUI:
    """The chat over agents that a program has made; takes what `qwen_agent.gui.WebUI` takes.

    Args:
        agent: an agent, a list of agents of which people choose one, or a router or group of
            agents. Agents of qwen-agent and of this package may be mixed.
        chatbot_config: `user.name`, `user.avatar` and `agent.avatar` (picture files),
            `input.placeholder`, `prompt.suggestions` (texts, or `{"text": ..., "files": [...]}`)
            and `verbose` (questions go to the log).

    Raises:
        ConfigError: `chatbot_config` has an unknown key or a value of another form.
    """

    def __init__(self, agent: Any, chatbot_config: Mapping[str, Any] | None = None) -> None:
        from qwenbelt.apps.gui.given import Looks

        hub = agent if hasattr(agent, "nonuser_agents") else None
        several = agent.nonuser_agents if hub is not None else agent
        self.agent_list = list(several) if isinstance(several, list) else [agent]
        if not self.agent_list:
            raise ConfigError("WebUI needs an agent.")
        self.agent_hub = hub
        self.looks = Looks.read(chatbot_config)

    def given(
        self,
        messages: Sequence[Any] | None = None,
        *,
        enable_mention: bool = False,
        **kwargs: Any,
    ) -> Given:
        """Returns the agents as conversations run them; see `run` for the arguments."""
        from qwenbelt.apps.gui.given import Given

        several = (self.agent_list, self.agent_hub, self.looks)
        return Given(*several, enable_mention, kwargs, messages or ())

    def app(
        self,
        messages: Sequence[Any] | None = None,
        *,
        host: str = "127.0.0.1",
        concurrency_limit: int = 10,
        enable_mention: bool = False,
        workspace: str | Path | None = None,
        **kwargs: Any,
    ) -> Any:
        """Returns the ASGI application; see `run` for the arguments."""
        from qwenbelt.apps.agent_choice import AgentChoice
        from qwenbelt.apps.gui.access.guards import read_accounts
        from qwenbelt.apps.gui.server import GuiOptions, make_app

        accounts = read_accounts(tuple(filter(None, [os.environ.get("QWENBELT_AUTH", "")])))
        options = GuiOptions(
            host=host,
            accounts=accounts,
            workspace=Path(workspace) if workspace is not None else None,
            at_once=concurrency_limit,
        )
        given = self.given(messages, enable_mention=enable_mention, **kwargs)
        return make_app(AgentChoice(), options, given=given)

    def run(
        self,
        messages: Sequence[Any] | None = None,
        share: bool = False,
        server_name: str | None = None,
        server_port: int | None = None,
        concurrency_limit: int = 10,
        enable_mention: bool = False,
        *,
        ready: Callable[[str], None] | None = None,
        workspace: str | Path | None = None,
        **kwargs: Any,
    ) -> None:
        """Serves the chat until it is interrupted.

        Args:
            messages: what every conversation begins with.
            share: a tunnel through Gradio's servers; refused, since nothing here leaves the
                machine.
            server_name: the address; 127.0.0.1 by default. Others need accounts (QWENBELT_AUTH).
            server_port: the port; 7860 by default, 0 takes a free one.
            concurrency_limit: how many turns may run side by side.
            enable_mention: whether `@name` in a question chooses who answers.
            ready: called with the URL when the server answers.
            workspace: where conversations are kept; the settings' by default.
            **kwargs: passed to every run of an agent.

        Raises:
            ConfigError: Gradio is missing, `share` is asked for, or the address needs accounts.
            InputError: the port is taken.
        """
        from qwenbelt.apps.gui.server import run_app
        from qwenbelt.apps.strings import say

        if share:
            raise ConfigError(
                "share=True would send the chat through servers of others.",
                fix="Use server_name='0.0.0.0' with accounts in QWENBELT_AUTH, or a tunnel of "
                "your own.",
            )
        host = server_name or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
        port = server_port if server_port is not None else 7860
        app = self.app(
            messages,
            host=host,
            concurrency_limit=concurrency_limit,
            enable_mention=enable_mention,
            workspace=workspace,
            **kwargs,
        )
        run_app(app, host, port, ready or (lambda url: print(say("serving", url=url), flush=True)))
