"""Fields of the settings: each is loaded, and saved by itself, with the version that was seen.

A page that was opened before another one's change does not overwrite it: lists take over what was
switched on or off, any other field is reloaded instead of being saved.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import gradio as gr

from qwenbelt.agents.kinds import AGENT_KINDS
from qwenbelt.apps.agent_choice import NO_TOOLS, tool_names
from qwenbelt.apps.gui.access.team import TeamRules
from qwenbelt.apps.gui.asking import TurnStarter
from qwenbelt.apps.gui.strings import PageError, explain_on_page
from qwenbelt.apps.gui.voice import VOICE_FIELDS
from qwenbelt.core.jsons import loads_bounded
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
MAX_SPEC = 500
# named sets of tools; those that are not offered are left out
PRESETS: dict[str, tuple[str, ...]] = {
    "documents": ("document_search", "read_document", "ocr", "image_zoom"),
    "data": ("code_interpreter", "plot", "sql_query", "read_document"),
    "web": ("web_search", "web_fetch", "code_interpreter"),
    "files": (
        *("file_read", "file_write", "file_edit", "file_list", "file_search", "file_grep"),
        *("file_move", "file_info", "file_make_folder"),
    ),
    "everything": (),
}
# Gradio's own notes of errors speak English
SHOW_PROBLEM = "(text) => { if (text) window.qwenbelt.notice(text); }"
Seen = tuple[int, Any]  # a field's version and value as the page shows them


def user_of(request: gr.Request) -> str:
    """Returns the user that the guard has found."""
    return str(request.request.scope["state"]["user"])


def endpoints_of(asker: TurnStarter) -> list[str]:
    """Returns the specs of endpoints that the server was started with."""
    rules = TeamRules.kept(asker.hub.store)
    known = [asker.defaults.endpoint, *asker.endpoints, *rules.endpoints]
    return list(dict.fromkeys(spec for spec in known if spec))


def switchable_tools(asker: TurnStarter) -> list[str]:
    """Returns the tools that can be switched: this pack's, and those the server was given."""
    return list(dict.fromkeys([*BUILTIN, *tool_names(asker.defaults.tools)]))


def shown_fields(asker: TurnStarter, user: str) -> dict[str, Any]:
    """Returns the fields' values as the settings show them."""
    choice = asker.choice(user)
    return {
        "endpoint": choice.endpoint or "",
        "kind": choice.kind,
        "presets": _preset(asker, tool_names(choice.tools)),
        "tools": tool_names(choice.tools),
        "mcp_off": _on(asker.servers(), choice.mcp_off),
        "skills_off": _on(_skill_names(asker), choice.skills_off),
        "think": next(word for word, state in THINKING.items() if state is choice.think),
        "approve": choice.approve,
        "system": choice.system or "",
        **asdict(asker.voice(user)),
    }


def save_field(
    asker: TurnStarter, user: str, name: str, value: Any, seen: Seen | None, page: str = ""
) -> Seen:
    """Saves one field; returns its version and value now.

    Args:
        asker: knows the store.
        user: whose.
        name: the field.
        value: what the page shows of it now.
        seen: the version and value that the page was given; None before it was given any.
        page: which page saves; what it wrote itself is nothing new to it.

    Raises:
        PageError: the field was changed elsewhere since it was shown.
    """
    if seen is None:
        raise PageError("setting_stale")
    version, before = seen

    def change(body: dict[str, Any], known: int, writer: str) -> Any:
        wanted = value
        if known != version and writer != page:
            if not isinstance(value, list):
                raise PageError("setting_stale")
            wanted = _merged(value, before, _listed(asker, body, name))
        return _stored(asker, name, wanted)

    new = asker.hub.store.change_setting(user, name, change, page)
    return new, shown_fields(asker, user)[name]


def _listed(asker: TurnStarter, body: Mapping[str, Any], name: str) -> list[str]:
    stored = list(body.get(name) or ())
    if name in ("mcp_off", "skills_off"):
        return _on(_switched(asker, name), stored)
    return tool_names(tuple(stored))


def _switched(asker: TurnStarter, name: str) -> list[str]:
    return asker.servers() if name == "mcp_off" else _skill_names(asker)


def _skill_names(asker: TurnStarter) -> list[str]:
    return [name for name, _ in asker.skills()]


def _on(names: Sequence[str], off: Sequence[str]) -> list[str]:
    return [name for name in names if name not in off]


def _merged(value: Sequence[str], before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Returns the list as it is now with the changes that a page has made to an older one."""
    added = [name for name in value if name not in before and name not in now]
    return [name for name in now if name in value or name not in before] + added


def _stored(asker: TurnStarter, name: str, value: Any) -> Any:
    """Returns a field's value as it is kept; what cannot be chosen is left out."""
    if name == "endpoint":
        return str(value or "").strip() or None
    if name in VOICE_FIELDS:  # an empty one switches off what the server was started with
        return str(value or "").strip()[:MAX_SPEC]
    if name == "tools":
        return [tool for tool in value if tool in switchable_tools(asker)] or [NO_TOOLS]
    if name in ("mcp_off", "skills_off"):  # what comes to be offered later is on
        return _on(_switched(asker, name), value)
    if name == "kind":
        return value if value in AGENT_KINDS else AGENT_KINDS[0]
    if name == "think":
        return THINKING.get(value)
    if name == "approve":
        return value if value in MODES else MODES[0]
    return str(value or "")[:MAX_SYSTEM] or None


def _told(seen: Seen) -> str:
    return json.dumps(seen)


def _seen(told: str | None) -> Seen | None:
    """Returns the version and value that a page was given; None for what no page was given."""
    try:
        version, value = loads_bounded(told or "null")
    except (TypeError, ValueError):
        return None
    names = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return (
        (version, value)
        if isinstance(version, int) and (names or value is None or isinstance(value, str))
        else None
    )


def keep_fields(asker: TurnStarter, language: str, fields: Mapping[str, Any]) -> None:
    """Fills components when the page loads and saves each by itself.

    Args:
        asker: knows the store.
        language: of the messages.
        fields: the components by the fields' names.
    """
    # the page keeps what it has seen: for a `gr.State` each page would hold a connection open all
    # the time, one of the six that a browser has for a server
    seen = {name: gr.Textbox(visible=False) for name in fields}
    problem = gr.Textbox(visible=False)

    def load(request: gr.Request) -> list[Any]:
        user = user_of(request)
        shown, version = shown_fields(asker, user), asker.hub.store.setting_version
        updates = [gr.update(value=shown[name], interactive=True) for name in fields]
        if "endpoint" in fields:
            known = list(dict.fromkeys([*endpoints_of(asker), *filter(None, [shown["endpoint"]])]))
            at = list(fields).index("endpoint")
            updates[at] = gr.update(value=shown["endpoint"], choices=known, interactive=True)
        return [*updates, *(_told((version(user, name), shown[name])) for name in fields)]

    root = gr.context.Context.root_block
    root.load(load, None, [*fields.values(), *seen.values()], **QUIET)
    if "presets" in fields:
        tools = [fields["tools"], seen["tools"]]
        given = [fields["presets"], seen["tools"]]
        fields["presets"].input(_use_preset(asker), given, tools, **QUIET)
    for name, component in fields.items():
        if name == "presets":
            continue
        save, state = _saver(asker, language, name), seen[name]
        events = [
            component.input(
                save,
                [component, state],
                [component, state, problem],
                trigger_mode="always_last",
                **QUIET,
            )
        ]
        if isinstance(component, gr.Textbox):  # what is pasted is no input to Gradio
            events.append(
                component.blur(save, [component, state], [component, state, problem], **QUIET)
            )
        for event in events:
            event.then(None, problem, None, js=SHOW_PROBLEM)


def preset_tools(asker: TurnStarter, preset: str) -> list[str]:
    """Returns the tools of a preset that this server offers."""
    known = switchable_tools(asker)
    return [name for name in PRESETS[preset] if name in known] or known


def _preset(asker: TurnStarter, tools: Sequence[str]) -> str | None:
    """Returns the preset that these tools are, if they are one."""
    return next((name for name in PRESETS if set(preset_tools(asker, name)) == set(tools)), None)


def _use_preset(asker: TurnStarter) -> Callable[..., Any]:
    def use(preset: str | None, seen: str | None, request: gr.Request) -> tuple[Any, Any]:
        if preset not in PRESETS or not seen:
            return gr.skip(), seen
        names, user = preset_tools(asker, preset), user_of(request)
        page = str(request.session_hash)
        version = asker.hub.store.change_setting(user, "tools", lambda *_: names, page)
        return gr.update(value=names), _told((version, names))

    return use


def _saver(asker: TurnStarter, language: str, name: str) -> Callable[..., Any]:
    def save(value: Any, told: str | None, request: gr.Request) -> tuple[Any, Any, str]:
        user, seen = user_of(request), _seen(told)
        try:
            version, now = save_field(asker, user, name, value, seen, str(request.session_hash))
        except PageError as error:
            version = asker.hub.store.setting_version(user, name)
            now = shown_fields(asker, user)[name]
            return (
                gr.update(value=now, interactive=True),
                _told((version, now)),
                explain_on_page(error, language),
            )
        # the person keeps typing while a text is saved
        same = isinstance(now, str) or sorted(now) == sorted(value or ())
        return gr.skip() if same else gr.update(value=now), _told((version, now)), ""

    return save
