"""What Tab offers behind `qwenbelt`: commands, options, files, models, agents and tools.

click completes commands, options and choices. The values of our options are completed by what an
option is called and what its help shows as its value, so that a new option needs nothing more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

VARIABLE = "_QWENBELT_COMPLETE"
_FILES = ("FILE", "IMAGE", "TRACE", "CASSETTE", "SCENARIO", "TASKS", "PICTURE", "VIDEO")
_FOLDERS = ("DIR", "FOLDER")
_KINDS = ("dashscope:", "vllm:", "ollama:", "llamacpp:", "openai:", "local:", "scripted:")
Offer = Callable[[], Iterable[str]]


def with_completion(command: click.Command, parents: str = "") -> click.Command:
    """Returns the command, and those below it, with completion for the values of its parameters."""
    for parameter in command.params:
        if parameter._custom_shell_complete is None:
            parameter._custom_shell_complete = _completer(parameter, parents)
    if type(command) is click.Group:
        for member in command.commands.values():
            with_completion(member, command.name or "")
    return command


def _completer(parameter: click.Parameter, parents: str) -> Any:
    """Returns what completes a parameter, or None where its type knows better."""
    if isinstance(parameter.type, (click.Choice, click.types.BoolParamType)):
        return None
    name, options = parameter.name or "", set(parameter.opts)
    shown = (parameter.metavar or parameter.human_readable_name or "").upper()
    offers: list[Offer] = []
    if name.startswith("endpoint") or "--endpoint" in options:
        offers = [endpoints]
    elif "--agent" in options:
        offers = [agents]
    elif "--tool" in options or (parents == "tools" and shown == "NAME"):
        offers = [tools]
    elif parents == "agents" and shown == "NAME":
        offers = [agents]
    elif parents == "model" and shown == "NAME":
        offers = [models]
    kind = _kind_of_parameter(parameter, shown)
    if not offers and not kind:
        return None

    def complete(
        context: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        words = dict.fromkeys(word for offer in offers for word in _safe(offer))
        found = [CompletionItem(word) for word in words if word.startswith(incomplete)]
        if kind and not found:
            found.append(CompletionItem(incomplete, type=kind))
        return found

    return complete


def _kind_of_parameter(parameter: click.Parameter, shown: str) -> str:
    if any(shown.startswith(word) or shown.endswith(word) for word in _FOLDERS):
        return "dir"
    if isinstance(parameter.type, (click.Path, click.File)) or shown.startswith(_FILES):
        return "file"
    return "file" if "--agent" in parameter.opts else ""


def _safe(offer: Offer) -> list[str]:
    try:
        return list(offer())
    except Exception:  # all: a traceback inside a line that is being typed helps nobody
        return []


def endpoints() -> Iterable[str]:
    """Specs: what is set, the kinds, the models whose prices are known, the files that are here."""
    import json
    from importlib import resources

    if os.environ.get("QWENBELT_ENDPOINT"):
        yield os.environ["QWENBELT_ENDPOINT"]
    yield from _KINDS
    text = resources.files("qwenbelt.agents.models").joinpath("prices.json").read_text("utf-8")
    hosts = json.loads(text)["hosts"]
    yield from dict.fromkeys(
        f"dashscope:{name}" for host in hosts.values() for name in host["models"]
    )
    for name in models():
        yield f"local:{name}"


def models() -> Iterable[str]:
    """Model files of the embedded engine: those here, and the names that can be pulled."""
    from qwenbelt.agents.models.local_files import KNOWN, installed_models

    return dict.fromkeys([*(found.name for found in installed_models()), *KNOWN])


def agents() -> Iterable[str]:
    """Agents of files, and the kinds."""
    from qwenbelt.agents.agent_files import find_agents

    return [*("fncall", "react", "assistant"), *find_agents()]


def tools() -> Iterable[str]:
    """The names of the pack's tools."""
    from qwenbelt.tools.registry import BUILTIN

    return [*BUILTIN, "all", "none"]


def completion_script(shell: str, command: click.Command) -> str:
    """Returns what a shell reads to complete `qwenbelt`."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"No completion for {shell}.")
    complete = kind(command, {}, "qwenbelt", VARIABLE)
    text = str(complete.source_template % complete.source_vars())
    if shell == "bash":
        # a spec has a colon, at which bash would otherwise begin a new word
        text = text.replace(
            "    local IFS=", "    COMP_WORDBREAKS=${COMP_WORDBREAKS//:}\n    local IFS=", 1
        )
    return text


def completion_file(shell: str) -> str:
    """Returns the file in which a shell looks for completions of a user."""
    home = os.path.expanduser("~")
    data = os.environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    return {
        "bash": os.path.join(data, "bash-completion", "completions", "qwenbelt"),
        "zsh": os.path.join(home, ".zfunc", "_qwenbelt"),
        "fish": os.path.join(config, "fish", "completions", "qwenbelt.fish"),
    }[shell]
