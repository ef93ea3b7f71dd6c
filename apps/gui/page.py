"""The page: Gradio's layout, composer and settings around the conversation.

The conversation itself is drawn by `chat.js` from the changes that `/qb/stream` sends.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from qwenbelt.apps.gui.asking import MAX_FILE_MB, MAX_FILES, TurnStarter
from qwenbelt.apps.gui.desk_strings import SCRIPT_TEXTS
from qwenbelt.apps.gui.given import Looks, Suggestion
from qwenbelt.apps.gui.offers import filled_question
from qwenbelt.apps.gui.setting_fields import QUIET, user_of
from qwenbelt.apps.gui.settings import agent_settings, given_agents
from qwenbelt.apps.gui.strings import PageError, explain_on_page, say
from qwenbelt.core.errors import InputError, QwenbeltError
from qwenbelt.core.jsons import loads_bounded

_STATIC = Path(__file__).parent / "static"
FILE_TYPES = [
    *("image", "audio", "video", "text"),
    *(".pdf", ".docx", ".pptx", ".xlsx", ".csv", ".tsv", ".json", ".jsonl", ".md", ".html"),
    *(".parquet", ".sqlite", ".zip", ".yaml", ".yml", ".log", ".py", ".ipynb"),
]
# the page knows its conversation; Gradio's inputs are given it just before they are sent
_WITH_SESSION = (
    "async (...inputs) => { inputs[inputs.length - 1] = await window.qwenbelt.target(); "
    "return inputs; }"
)
_AFTER_SENDING = "(text) => { window.qwenbelt.wasSent(); if (text) window.qwenbelt.notice(text); }"
_SCRIPTS = (
    *("chat.js", "apps.js", "composer.js", "elicitation.js", "lightbox.js", "start.js"),
    *("desk.js", "document.js", "notebook.js", "tables.js", "menus.js", "charts.js", "living.js"),
    *("diagrams.js", "voice.js"),
)


# Gradio's box shows signs of files, not their names
_SHOW_FILES = "(value) => { window.qwenbelt.showFiles(value); }"
QUEUE_SECONDS = 0.01


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


def head(language: str, asker: TurnStarter) -> str:
    """Returns what goes into the page's head: its style, its texts and its script.

    The style is here and not in Gradio's `css`, which would rewrite its selectors.
    """
    style = (_STATIC / "chat.css").read_text(encoding="utf-8")
    words = {key: say.template(key, language) for key in _SCRIPT_WORDS}
    setup = {"language": language, "words": words, "limit": MAX_FILE_MB * 1024 * 1024}
    data = json.dumps(setup, ensure_ascii=False)
    body = "\n".join((_STATIC / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    data = data.replace("<", "\\u003c")
    style += _speakers_style(asker.given.looks) if asker.given is not None else ""
    icon = (
        '<link rel="icon" href="/qb/icon.svg"><link rel="manifest" href="/qb/manifest.json">'
        '<meta name="theme-color" content="#4f46e5">'
    )
    page = f"window.qwenbeltPage = {data};"
    return f"{icon}<style>{style}</style><script>{page}</script><script>{body}</script>"


def _speakers_style(looks: Looks) -> str:
    """Returns the style that shows names and pictures of those who speak."""
    name = "".join(f"\\{ord(letter):x} " for letter in looks.user_name)
    style = f'.qb-question::before {{ content: "{name}"; }}' if name else ""
    for who, picture in (("user", looks.user_avatar), ("agent", looks.agent_avatar)):
        if picture is not None:
            place = "question" if who == "user" else "answer"
            style += f".qb-{place}::before {{ --qb-avatar: url(/qb/avatar/{who}); }}"
            style += f'.qb-{place}.qb-{place}::before {{ content: "{name * (who == "user")}"; }}'
    return style


_PAGE_WORDS = ("welcome", "stop", "offline", "jump", "desk")
_SCRIPT_WORDS = [
    key
    for key in say
    if key
    in {
        *SCRIPT_TEXTS,
        *("untitled", "rename", "delete", "delete_sure", "export", "offline", "close", "send"),
        *("cancel", "copied", "copy", "stop", "stopping", "working", "page_previous", "page_next"),
        *("page_picture", "page_failed", "quote_found", "quote_missing", "citation", "edit"),
        *("export_md", "export_json", "export_scenario", "jump", "save", "redo", "undone"),
        *("queued", "send_now", "stop_answer", "drop_here", "enlarge", "files_stay", "zoom_in"),
        *("zoom_out", "download_it", "demo_told", "demo_play", "demo_about", "start_title"),
        *("start_key", "start_key_about", "start_servers", "start_none", "look_again"),
        *("desk", "tab_document", "tab_files", "tab_code", "tab_data", "tab_trace", "page_text"),
        *("ask_passage", "whole_window", "desk_empty", "download_all", "send_to_model"),
        *("run_again", "make_test", "open_file", "table_of", "find_in", "found_nothing"),
        "filter_rows",
        *("column_text", "column_number", "rows_shown", "plot_this", "plot_ask"),
        *("ready_now", "no_model", "chip_tools", "chip_think", "on", "off"),
    }
]


def build(asker: TurnStarter, language: str, *, logged_in: bool) -> gr.Blocks:
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
                if asker.given is None:
                    agent_settings(asker, language)
                else:
                    given_agents(asker, asker.given, language)
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
        limits = escape(say("limits", language, size=MAX_FILE_MB))
        gr.HTML(
            f'<div id="qb-chips"></div><small>{limits}</small>', elem_id="qb-limits", padding=False
        )
        _send_handler(asker, message, language)
        message.change(None, message, None, js=_SHOW_FILES)
    _only_uploads(blocks, message)
    # Gradio would look into its queue a thousand times a second, 4 % of a processor when idle
    blocks._queue.sleep_when_free = QUEUE_SECONDS
    return blocks


def _send_handler(asker: TurnStarter, message: Any, language: str) -> None:
    session, problem = gr.Textbox(visible=False), gr.Textbox(visible=False)

    async def send(given: dict[str, Any], name: str, request: gr.Request) -> tuple[Any, str]:
        text, uploads = str(given.get("text") or ""), list(given.get("files") or ())
        try:
            session, carried = _conversation_and_files(name or "")
            opened = asker.hub.open(user_of(request), session)
            if not text.strip() and not uploads and not carried:
                raise PageError("empty")
            text, named = await asyncio.to_thread(filled_question, asker, opened, text)
            asker.send(opened, text, [*carried, *named, *asker.attach(opened, uploads)])
        except QwenbeltError as error:
            return gr.skip(), explain_on_page(error, language)  # what was typed stays
        return {"text": "", "files": []}, ""

    sent = message.submit(
        send,
        [message, session],
        [message, problem],
        js=_WITH_SESSION,
        **QUIET,  # no queue: its two requests could reach two replicas
    )
    sent.then(None, problem, None, js=_AFTER_SENDING)


def _conversation_and_files(name: str) -> tuple[str, list[str]]:
    """Returns which conversation a message goes to, and which of its files go with it.

    Raises:
        PageError: it is neither a conversation's name nor an object that names one.
    """
    if not name.startswith("{"):
        return name, []
    try:
        told = loads_bounded(name)
    except ValueError as error:
        raise PageError("no_conversation") from error
    files = told.get("files") if isinstance(told, dict) else None
    if not isinstance(files, list):
        raise PageError("no_conversation")
    return str(told.get("session", "")), [str(file) for file in files[:MAX_FILES]]


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
    words = {key: escape(say(key, language)) for key in _PAGE_WORDS}
    return (
        '<div id="qb-layout"><div id="qb-scroll" tabindex="-1">'
        f'<h1 class="qb-sr" id="qb-heading" hidden>{escape(say("title", language))}</h1>'
        f'<div id="qb-welcome" hidden><h1>{words["welcome"]}</h1>'
        f'<div class="qb-examples">{examples}</div><div id="qb-start"></div></div>'
        '<div id="qb-turns" role="log" aria-live="polite" aria-relevant="additions"></div>'
        f'<div id="qb-status" hidden><span class="qb-spin" aria-hidden="true"></span>'
        f'<span id="qb-status-text"></span>'
        f'<button type="button" id="qb-stop" class="qb-button">■ {words["stop"]}</button></div>'
        "</div>"
        f'<button type="button" id="qb-jump" class="qb-button" hidden>↓ {words["jump"]}</button>'
        f'<button type="button" id="qb-desk" class="qb-button" aria-label="{words["desk"]}" '
        f'title="{words["desk"]}">◫</button>'
        f'<div id="qb-offline" role="status" hidden>{words["offline"]}</div>'
        '<aside id="qb-panel" hidden></aside></div>'
        '<div id="qb-demo" role="note" hidden></div>'
        '<div id="qb-undone" role="status" hidden></div>'
        '<ol id="qb-queue" hidden></ol>'
        '<div id="qb-attached" role="status" hidden></div>'
    )


def _with_files(number: int, suggestion: Suggestion) -> str:
    """Returns what makes a suggestion with files be asked at once, its files with it."""
    names = escape(", ".join(Path(file).name for file in suggestion.files))
    return f' data-suggest="{number}" title="{names}"' if names else ""
