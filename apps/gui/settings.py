"""The settings in the side bar: which endpoint and model, tools, servers and agents answer."""

from __future__ import annotations

import time
from html import escape
from typing import Any

import gradio as gr

from qwenbelt.agents.kinds import AGENT_KINDS
from qwenbelt.apps.gui.asking import TurnStarter
from qwenbelt.apps.gui.given import Given
from qwenbelt.apps.gui.setting_fields import (
    MAX_SPEC,
    MAX_SYSTEM,
    MODES,
    PRESETS,
    QUIET,
    THINKING,
    endpoints_of,
    keep_fields,
    switchable_tools,
    user_of,
)
from qwenbelt.apps.gui.strings import explain_on_page, say
from qwenbelt.apps.gui.voice import VOICE_FIELDS
from qwenbelt.core.errors import QwenbeltError

MAX_MODELS = 300


def agent_settings(asker: TurnStarter, language: str) -> None:
    """Makes the settings of an agent; each holds what the user chose last.

    They are disabled until they are filled: the state of an empty page is no choice.
    """
    endpoint, check, health = _endpoint(asker, language)
    kind = gr.Radio(
        [(say(f"kind_{kind}", language), kind) for kind in AGENT_KINDS],
        label=say("agent_kind", language),
        interactive=False,
    )
    presets = gr.Radio(
        [(say(f"preset_{name}", language), name) for name in PRESETS],
        label=say("presets", language),
        elem_id="qb-presets",
        interactive=False,
    )
    tools = gr.CheckboxGroup(
        switchable_tools(asker),
        label=say("tools_each", language),
        elem_id="qb-tools",
        interactive=False,
    )
    servers = gr.CheckboxGroup(
        asker.servers(),
        label=say("mcp", language),
        visible=bool(asker.servers()),
        elem_id="qb-servers",
        interactive=False,
    )
    offered = asker.skills()
    skills = gr.CheckboxGroup(
        [name for name, _ in offered],
        label=say("skills", language),
        visible=bool(offered),
        elem_id="qb-skills",
        interactive=False,
    )
    words = {"default": "thinking_default", "on": "on", "off": "off"}
    think = gr.Radio(
        [(say(words[state], language), state) for state in THINKING],
        label=say("thinking", language),
        elem_id="qb-think",
        interactive=False,
    )
    approve = gr.Radio(
        [(say(f"approve_{mode}", language), mode) for mode in MODES],
        label=say("approve", language),
        interactive=False,
    )
    system = gr.Textbox(
        label=say("system", language),
        lines=3,
        max_length=MAX_SYSTEM,
        elem_id="qb-system",
        interactive=False,
    )
    keep_fields(
        asker,
        language,
        {
            "endpoint": endpoint,
            "kind": kind,
            "presets": presets,
            "tools": tools,
            "mcp_off": servers,
            "skills_off": skills,
            "think": think,
            "approve": approve,
            "system": system,
            **_voice(asker, language),
        },
    )
    shown = {**QUIET, "show_progress": "minimal"}
    check.click(_checker(asker, language), endpoint, [health, endpoint], **shown)


def _voice(asker: TurnStarter, language: str) -> dict[str, Any]:
    """Makes the fields of the models that hear and speak, where people may name endpoints."""
    if not asker.free_endpoints:
        return {}
    return {
        name: gr.Textbox(
            label=say(name, language),
            info=say(f"{name}_info", language) if name != "voice" else None,
            max_length=MAX_SPEC,
            elem_id=f"qb-{name}",
            interactive=False,
        )
        for name in VOICE_FIELDS
    }


def _endpoint(asker: TurnStarter, language: str) -> tuple[Any, Any, Any]:
    endpoint = gr.Dropdown(
        choices=endpoints_of(asker),
        allow_custom_value=asker.free_endpoints,
        label=say("model", language),
        info=say("model_info", language) if asker.free_endpoints else None,
        elem_id="qb-endpoint",
        interactive=False,
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
        asker.hub.store.change_setting(user_of(request), "agent", lambda *_: name)

    choice = gr.Dropdown(given.names, label=say("who_answers", language), elem_id="qb-agent")
    _root().load(load, None, choice, **QUIET)
    choice.input(save, choice, None, **QUIET)


def _root() -> Any:
    return gr.context.Context.root_block


def _checker(asker: TurnStarter, language: str) -> Any:
    def check(spec: str | None, request: gr.Request) -> tuple[str, Any]:
        wanted = (spec or "").strip() or None
        if not asker.free_endpoints:
            wanted = asker.choice(user_of(request)).endpoint
        try:
            told, models = endpoint_health(wanted, language)
        except QwenbeltError as error:
            told, models = say("health_bad", language, reason=explain_on_page(error, language)), []
        known = [*endpoints_of(asker), *filter(None, [wanted])]
        found = gr.update()
        if asker.free_endpoints:
            found = gr.update(choices=list(dict.fromkeys([*known, *models])))
        return f'<div role="status">{escape(told)}</div>', found

    return check


def endpoint_health(spec: str | None, language: str) -> tuple[str, list[str]]:
    """Returns a remark about an endpoint, and specs of the models that it offers.

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
