"""The settings in the side bar: which endpoint and model, tools, servers and agents answer."""

from __future__ import annotations

import time
from html import escape
from typing import Any

import gradio as gr

from qwenbelt.agents.kinds import AGENT_KINDS
from qwenbelt.apps.agent_choice import tool_names
from qwenbelt.apps.gui.asking import TurnStarter
from qwenbelt.apps.gui.given import Given
from qwenbelt.apps.gui.strings import explain, say
from qwenbelt.core.errors import QwenbeltError
from qwenbelt.tools.registry import BUILTIN

# events that are answered at once, outside Gradio's queue
QUIET: dict[str, Any] = {
    "show_progress": "hidden",
    "queue": False,
    "api_visibility": "private",
}
MODES = ("untrusted", "ask", "auto", "never")
THINKING = {"default": None, "on": True, "off": False}
MAX_SYSTEM = 20_000
MAX_MODELS = 300


def user_of(request: gr.Request) -> str:
    """Returns the user that the guard has found."""
    return str(request.request.scope["state"]["user"])


def agent_settings(asker: TurnStarter, language: str) -> None:
    """Makes the settings of an agent; each holds what the user chose last."""
    endpoint, check, health = _endpoint(asker, language)
    kind = gr.Radio(
        [(say(f"kind_{kind}", language), kind) for kind in AGENT_KINDS],
        label=say("agent_kind", language),
    )
    tools = gr.CheckboxGroup(_offered(asker), label=say("tools", language), elem_id="qb-tools")
    servers = gr.CheckboxGroup(
        asker.servers(),
        label=say("mcp", language),
        visible=bool(asker.servers()),
        elem_id="qb-servers",
    )
    words = {"default": "thinking_default", "on": "on", "off": "off"}
    think = gr.Radio(
        [(say(words[state], language), state) for state in THINKING],
        label=say("thinking", language),
        elem_id="qb-think",
    )
    approve = gr.Radio(
        [(say(f"approve_{mode}", language), mode) for mode in MODES],
        label=say("approve", language),
    )
    system = gr.Textbox(
        label=say("system", language), lines=3, max_length=MAX_SYSTEM, elem_id="qb-system"
    )
    chosen = [endpoint, kind, tools, servers, think, approve, system]
    _root().load(_loader(asker), None, chosen, **QUIET)
    save = _saver(asker)
    for component in chosen:
        component.input(save, chosen, None, trigger_mode="always_last", **QUIET)
    system.blur(save, chosen, None, **QUIET)  # what is pasted is no input to Gradio
    shown = {**QUIET, "show_progress": "minimal"}
    check.click(_checker(asker, language), endpoint, [health, endpoint], **shown)


def _endpoint(asker: TurnStarter, language: str) -> tuple[Any, Any, Any]:
    endpoint = gr.Dropdown(
        choices=_endpoints(asker),
        allow_custom_value=asker.free_endpoints,
        label=say("model", language),
        info=say("model_info", language) if asker.free_endpoints else None,
        elem_id="qb-endpoint",
    )
    check = gr.Button(say("check", language), size="sm", elem_id="qb-check")
    return endpoint, check, gr.HTML(elem_id="qb-health", padding=False)


def given_agents(asker: TurnStarter, given: Given, language: str) -> None:
    """Shows the agents that answer, and lets people choose one of several."""
    about = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(str(agent.description or ''))} "
        f"<small>{escape(', '.join(getattr(agent, 'function_map', None) or ()))}</small></dd>"
        for name, agent in zip(given.names, given.agents, strict=True)
    )
    gr.HTML(f'<dl class="qb-agents">{about}</dl>')
    if not given.choosable:
        return

    def load(request: gr.Request) -> str:
        return asker.chosen_agent(user_of(request))

    def save(name: str, request: gr.Request) -> None:
        asker.hub.store.save_settings(user_of(request), {"agent": name})

    choice = gr.Dropdown(given.names, label=say("who_answers", language), elem_id="qb-agent")
    _root().load(load, None, choice, **QUIET)
    choice.input(save, choice, None, **QUIET)


def _root() -> Any:
    return gr.context.Context.root_block


def _endpoints(asker: TurnStarter) -> list[str]:
    known = [asker.defaults.endpoint, *asker.endpoints]
    return list(dict.fromkeys(spec for spec in known if spec))


def _offered(asker: TurnStarter) -> list[str]:
    """Returns the tools that can be switched: this pack's, and those the server was given."""
    return list(dict.fromkeys([*BUILTIN, *tool_names(asker.defaults.tools)]))


def _loader(asker: TurnStarter) -> Any:
    def load(request: gr.Request) -> list[Any]:
        choice = asker.choice(user_of(request))
        servers = [name for name in asker.servers() if name not in choice.mcp_off]
        think = next(word for word, state in THINKING.items() if state is choice.think)
        endpoint = gr.update(
            value=choice.endpoint or "",
            choices=list(dict.fromkeys([*_endpoints(asker), *filter(None, [choice.endpoint])])),
        )
        tools, system = tool_names(choice.tools), choice.system or ""
        return [endpoint, choice.kind, tools, servers, think, choice.approve, system]

    return load


def _saver(asker: TurnStarter) -> Any:
    offered = _offered(asker)

    def save(
        endpoint: str | None,
        kind: str,
        tools: list[str],
        servers: list[str],
        think: str,
        approve: str,
        system: str | None,
        request: gr.Request,
    ) -> None:
        body = {
            "endpoint": (endpoint or "").strip() or None,
            "kind": kind if kind in AGENT_KINDS else AGENT_KINDS[0],
            "tools": [name for name in tools if name in offered] or ["none"],
            "mcp_off": [name for name in asker.servers() if name not in servers],
            "think": THINKING.get(think),
            "approve": approve if approve in MODES else MODES[0],
            "system": (system or "")[:MAX_SYSTEM] or None,
        }
        asker.hub.store.save_settings(user_of(request), body)

    return save


def _checker(asker: TurnStarter, language: str) -> Any:
    def check(spec: str | None, request: gr.Request) -> tuple[str, Any]:
        wanted = (spec or "").strip() or None
        if not asker.free_endpoints:
            wanted = asker.choice(user_of(request)).endpoint
        try:
            told, models = endpoint_health(wanted, language)
        except QwenbeltError as error:
            told, models = say("health_bad", language, reason=explain(error, language)), []
        known = [*_endpoints(asker), *filter(None, [wanted])]
        found = gr.update()
        if asker.free_endpoints:
            found = gr.update(choices=list(dict.fromkeys([*known, *models])))
        return f'<div role="status">{escape(told)}</div>', found

    return check


def endpoint_health(spec: str | None, language: str) -> tuple[str, list[str]]:
    """Returns what is to be said of an endpoint, and specs of the models that it offers.

    Raises:
        QwenbeltError: the endpoint is not understood, or does not answer.
    """
    from qwenbelt.agents.models.dialects import dialect_of
    from qwenbelt.agents.models.endpoints import endpoint, key_of, list_models

    started = time.monotonic()
    llm = endpoint(spec)
    model, url = str(llm["model"]), str(llm.get("model_server") or "")
    if not url:
        return say("health_local", language, model=model), []
    dialect = dialect_of(str(llm["dialect"]), url)
    models = list_models(url, key=key_of(llm, dialect))
    took = round((time.monotonic() - started) * 1000)
    absent = dialect.is_local and not any(m.startswith(model) for m in models)
    words = {"model": model, "count": len(models), "milliseconds": took}
    told = say("health_absent" if absent else "health_ok", language, **words)
    if dialect.name == "scripted":
        return told, []
    place = f"@{url}" if spec is None or "@http" in spec else ""
    return told, [f"{dialect.name}:{name}{place}" for name in models[:MAX_MODELS]]
