"""The page: Gradio's layout, composer and settings around the conversation.

The conversation itself is drawn by `chat.js` from the changes that `/qb/stream` sends.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from qwenbelt.apps.agent_choice import DEFAULT_TOOLS
from qwenbelt.apps.gui.asking import MAX_FILE_MB, Asker
from qwenbelt.apps.gui.given import Given, Looks, Suggestion
from qwenbelt.apps.gui.strings import TEXTS, say
from qwenbelt.core.errors import InputError, QwenbeltError
from qwenbelt.tools.registry import BUILTIN

_HERE = Path(__file__).parent
FILE_TYPES = [
    *("image", "audio", "video", "text"),
    *(".pdf", ".docx", ".pptx", ".xlsx", ".csv", ".tsv", ".json", ".jsonl", ".md", ".html"),
    *(".parquet", ".sqlite", ".zip", ".yaml", ".yml", ".log", ".py", ".ipynb"),
]
_ICON = (
    "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E"
    "%3Crect width='32' height='32' rx='8' fill='%234f46e5'/%3E"
    "%3Cpath d='M6 11h12M10 16h16M6 21h9' stroke='white' "
    "stroke-width='3' stroke-linecap='round'/%3E%3C/svg%3E"
)
# the page knows its conversation; Gradio's inputs are given it just before they are sent
_WITH_SESSION = (
    "(...inputs) => { inputs[inputs.length - 1] = window.qwenbelt.session; return inputs; }"
)


def theme() -> Any:
    """Returns a theme whose fonts are the system's own, so that none is fetched."""
    sans = ["system-ui", "-apple-system", "Segoe UI", "Noto Sans CJK SC", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
    # darker than the theme's own, whose contrast is below 4.5
    return gr.themes.Soft(primary_hue="indigo", font=sans, font_mono=mono).set(
        block_title_text_color="*primary_700",
        block_label_text_color="*primary_700",
        checkbox_label_background_fill_selected="*primary_600",
        block_info_text_color="*neutral_600",
    )


def head(language: str, asker: Asker) -> str:
    """Returns what goes into the page's head: its style, its texts and its script.

    The style stands here and not in Gradio's `css`, which would rewrite its selectors.
    """
    style = (_HERE / "chat.css").read_text(encoding="utf-8")
    words = {key: TEXTS[key][language == "zh"] for key in _SCRIPT_WORDS}
    data = json.dumps({"language": language, "words": words}, ensure_ascii=False)
    body = (_HERE / "chat.js").read_text(encoding="utf-8")
    data = data.replace("<", "\\u003c")
    style += _looks(asker.given.looks) if asker.given is not None else ""
    icon = f'<link rel="icon" href="data:image/svg+xml,{_ICON}">'
    setup = f"window.qwenbeltPage = {data};"
    return f"{icon}<style>{style}</style><script>{setup}</script><script>{body}</script>"


def _looks(looks: Looks) -> str:
    """Returns the style that shows names and pictures of those who speak."""
    name = "".join(f"\\{ord(letter):x} " for letter in looks.user_name)
    style = f'.qb-question::before {{ content: "{name}"; }}' if name else ""
    for who, picture in (("user", looks.user_avatar), ("agent", looks.agent_avatar)):
        if picture is not None:
            place = "question" if who == "user" else "answer"
            style += f".qb-{place}::before {{ --qb-avatar: url(/qb/avatar/{who}); }}"
            style += f'.qb-{place}.qb-{place}::before {{ content: "{name * (who == "user")}"; }}'
    return style


_SCRIPT_WORDS = [
    key
    for key in TEXTS
    if key
    in {
        *("untitled", "rename", "delete", "delete_sure", "export", "offline", "close", "send"),
        *("cancel", "copied", "copy", "stop", "stopping", "working", "page_previous", "page_next"),
        *("page_picture", "page_failed", "quote_found", "quote_missing", "citation", "edit"),
        *("export_md", "export_json", "export_scenario", "jump"),
    }
]


def build(asker: Asker, language: str, *, logged_in: bool) -> gr.Blocks:
    """Returns the page in one language.

    Args:
        asker: starts turns.
        language: "en" or "zh".
        logged_in: whether people log in, and so can log out.
    """
    placeholder = asker.given.looks.placeholder if asker.given is not None else ""
    with gr.Blocks(
        title=say("title", language), analytics_enabled=False, fill_height=True, fill_width=True
    ) as blocks:
        with gr.Sidebar(width=290, elem_id="qb-side"):
            gr.HTML(_sidebar(language, logged_in), elem_id="qb-side-html")
            with gr.Accordion(say("settings", language), open=False, elem_id="qb-settings"):
                chosen = (
                    _settings(asker, language)
                    if asker.given is None
                    else _given(asker, asker.given, language)
                )
        gr.HTML(
            _conversation(asker.suggestions(language), language), elem_id="qb-main", padding=False
        )
        with gr.Row(elem_id="qb-composer"):
            message = gr.MultimodalTextbox(
                show_label=False,
                label=say("message", language),
                placeholder=placeholder or say("placeholder", language),
                sources=["upload"],
                file_types=FILE_TYPES,
                file_count="multiple",
                autofocus=True,
                max_lines=12,
                elem_id="qb-message",
                html_attributes=gr.InputHTMLAttributes(autocapitalize="sentences"),
            )
        session = gr.Textbox(visible=False)
        _send(asker, message, chosen, session, language)
    _only_uploads(blocks, message)
    return blocks


def _settings(asker: Asker, language: str) -> list[Any]:
    """Makes the settings; each holds what the user chose last."""
    endpoint = gr.Dropdown(
        choices=_endpoints(asker),
        allow_custom_value=asker.free_endpoints,
        label=say("model", language),
        info=say("model_info", language) if asker.free_endpoints else None,
        elem_id="qb-endpoint",
    )
    check = gr.Button(say("check", language), size="sm", elem_id="qb-check")
    health = gr.Markdown(elem_id="qb-health")
    kind = gr.Radio(["fncall", "react", "assistant"], label=say("agent_kind", language))
    tools = gr.CheckboxGroup(list(BUILTIN), label=say("tools", language), elem_id="qb-tools")
    servers = gr.CheckboxGroup(
        asker.servers(),
        label=say("mcp", language),
        visible=bool(asker.servers()),
        elem_id="qb-servers",
    )
    think = gr.Radio(
        [
            (say("thinking_default", language), "default"),
            (say("on", language), "on"),
            (say("off", language), "off"),
        ],
        label=say("thinking", language),
    )
    approve = gr.Radio(
        [(say(f"approve_{mode}", language), mode) for mode in ("ask", "auto", "never")],
        label=say("approve", language),
    )
    system = gr.Textbox(label=say("system", language), lines=3, max_length=20_000)
    gr.HTML(f"<small>{escape(say('limits', language, size=MAX_FILE_MB))}</small>")
    chosen = [endpoint, kind, tools, servers, think, approve, system]
    blocks = gr.context.Context.root_block
    if blocks is not None:
        blocks.load(_loader(asker), None, chosen, show_progress="hidden", api_visibility="private")
    for component in chosen:
        component.input(
            _saver(asker), chosen, None, show_progress="hidden", api_visibility="private"
        )
    check.click(_checker(asker, language), endpoint, health, api_visibility="private")
    return chosen


def _given(asker: Asker, given: Given, language: str) -> list[Any]:
    """Shows the agents that answer, and lets people choose one of several."""
    about = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(str(agent.description or ''))} "
        f"<small>{escape(', '.join(getattr(agent, 'function_map', None) or ()))}</small></dd>"
        for name, agent in zip(given.names, given.agents, strict=True)
    )
    gr.HTML(f'<dl class="qb-agents">{about}</dl>')
    gr.HTML(f"<small>{escape(say('limits', language, size=MAX_FILE_MB))}</small>")
    if not given.choosable:
        return []

    def load(request: gr.Request) -> str:
        return asker.chosen_agent(user_of(request))

    def save(name: str, request: gr.Request) -> None:
        asker.hub.store.save_settings(user_of(request), {"agent": name})

    choice = gr.Dropdown(given.names, label=say("who_answers", language), elem_id="qb-agent")
    hidden: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    blocks = gr.context.Context.root_block
    if blocks is not None:
        blocks.load(load, None, choice, **hidden)
    choice.input(save, choice, None, **hidden)
    return [choice]


def _endpoints(asker: Asker) -> list[str]:
    known = [asker.defaults.endpoint, *asker.endpoints]
    return list(dict.fromkeys(spec for spec in known if spec))


def _loader(asker: Asker) -> Any:
    def load(request: gr.Request) -> list[Any]:
        choice = asker.choice(user_of(request))
        tools = [name for name in choice.tools or DEFAULT_TOOLS if name in BUILTIN]
        servers = [name for name in asker.servers() if name not in choice.mcp_off]
        think = {None: "default", True: "on", False: "off"}[choice.think]
        endpoint = choice.endpoint or ""
        system = choice.system or ""
        return [endpoint, choice.kind, tools, servers, think, choice.approve, system]

    return load


def _saver(asker: Asker) -> Any:
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
        picked = [name for name in tools if name in BUILTIN] or ["none"]
        body = {
            "endpoint": (endpoint or "").strip() or None,
            "kind": kind if kind in ("fncall", "react", "assistant") else "fncall",
            "tools": picked,
            "mcp_off": [name for name in asker.servers() if name not in servers],
            "think": {"on": True, "off": False}.get(think),
            "approve": approve if approve in ("ask", "auto", "never") else "ask",
            "system": (system or "")[:20_000] or None,
        }
        asker.hub.store.save_settings(user_of(request), body)

    return save


def _checker(asker: Asker, language: str) -> Any:
    def check(spec: str | None, request: gr.Request) -> str:
        from qwenbelt.agents.endpoints import endpoint, list_models

        if not asker.free_endpoints:
            spec = asker.choice(user_of(request)).endpoint
        started = time.monotonic()
        try:
            llm = endpoint((spec or "").strip() or None)
            models = list_models(llm["model_server"], key=str(llm.get("api_key") or ""))
        except QwenbeltError as error:
            return say("health_bad", language, reason=str(error))
        took = (time.monotonic() - started) * 1000
        words = {"model": llm["model"], "count": len(models), "milliseconds": round(took)}
        return say("health_ok", language, **words)

    return check


def _send(asker: Asker, message: Any, chosen: list[Any], session: Any, language: str) -> None:
    async def send(given: dict[str, Any], name: str, request: gr.Request) -> Any:
        text, uploads = str(given.get("text") or ""), list(given.get("files") or ())
        try:
            opened = asker.hub.open(user_of(request), name or "")
            if opened.live is not None:
                raise gr.Error(say("busy", language))
            if not text.strip() and not uploads:
                raise gr.Error(say("empty", language))
            files = asker.attach(opened, uploads)
            asker.ask(opened, text, files, opened.row.leaf)
        except QwenbeltError as error:
            raise gr.Error(str(error)) from error
        return {"text": "", "files": []}

    message.submit(
        send,
        [message, session],
        message,
        js=_WITH_SESSION,
        show_progress="hidden",
        concurrency_limit=None,
        api_visibility="private",
    )


def _only_uploads(blocks: Any, message: Any) -> None:
    """Lets a message bring only files that were uploaded.

    Gradio leaves its own check out in an application that is mounted and not launched: whoever
    writes a path of this server, or an address, into a request would get that file.
    """
    blocks.has_launched = True
    move = message.async_move_resource_to_block_cache

    def checked(path: Any) -> Any:
        folder = Path(gr.utils.get_upload_folder()).resolve()
        if path is not None and not Path(str(path)).resolve().is_relative_to(folder):
            raise InputError(f"{Path(str(path)).name}: was not uploaded.")
        return move(path)

    message.async_move_resource_to_block_cache = checked


def user_of(request: gr.Request) -> str:
    """Returns the user that the guard has found."""
    return str(request.request.scope["state"]["user"])


def _sidebar(language: str, logged_in: bool) -> str:
    def button(element: str, key: str, sign: str) -> str:
        label = escape(say(key, language))
        return f'<button type="button" class="qb-button" id="{element}">{sign} {label}</button>'

    other = "/zh/" if language == "en" else "/en/"
    logout = f'<a href="/logout">{escape(say("logout", language))}</a>' if logged_in else ""
    theme_label = escape(say("theme", language))
    return (
        f'<div class="qb-side-head"><strong>qwenbelt</strong>'
        f'<a id="qb-language" href="{other}">{escape(say("language", language))}</a>'
        f'<button type="button" class="qb-small" id="qb-theme" title="{theme_label}" '
        f'aria-label="{theme_label}">◐</button>{logout}</div>'
        f"{button('qb-new', 'new_chat', '+')}"
        f'<input id="qb-search" type="search" placeholder="{escape(say("search", language))}" '
        f'aria-label="{escape(say("search", language))}">'
        f'<nav id="qb-sessions" aria-label="{escape(say("conversations", language))}"></nav>'
        f'<div class="qb-side-row">{button("qb-export", "export", "⇩")}'
        f"{button('qb-import', 'import', '⇧')}</div>"
        '<input type="file" id="qb-import-file" accept="application/json,.json" hidden '
        f'aria-label="{escape(say("import", language))}">'
    )


def _conversation(suggestions: Sequence[Suggestion], language: str) -> str:
    examples = "".join(
        f'<button type="button" class="qb-example"{_with_files(number, suggestion)}>'
        f"{escape(suggestion.text)}</button>"
        for number, suggestion in enumerate(suggestions)
    )
    words = {key: escape(say(key, language)) for key in ("welcome", "stop", "offline", "jump")}
    return (
        '<div id="qb-layout"><div id="qb-scroll" tabindex="-1">'
        f'<div id="qb-welcome" hidden><h1>{words["welcome"]}</h1>'
        f'<div class="qb-examples">{examples}</div></div>'
        '<div id="qb-turns" role="log" aria-live="polite" aria-relevant="additions"></div>'
        f'<div id="qb-status" hidden><span class="qb-spin" aria-hidden="true"></span>'
        f'<span id="qb-status-text"></span>'
        f'<button type="button" id="qb-stop" class="qb-button">■ {words["stop"]}</button></div>'
        "</div>"
        f'<button type="button" id="qb-jump" class="qb-button" hidden>↓ {words["jump"]}</button>'
        f'<div id="qb-offline" role="status" hidden>{words["offline"]}</div>'
        '<aside id="qb-panel" hidden></aside></div>'
    )


def _with_files(number: int, suggestion: Suggestion) -> str:
    """Returns what makes a suggestion with files be asked at once, its files with it."""
    names = escape(", ".join(Path(file).name for file in suggestion.files))
    return f' data-suggest="{number}" title="{names}"' if names else ""
