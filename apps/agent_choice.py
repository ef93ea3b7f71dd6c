"""What a person chose on the command line or in a chat, and the agent that is made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from qwenbelt.agents.kinds import AGENT_KINDS, AgentKind
from qwenbelt.apps.strings import say
from qwenbelt.apps.toolset import pack_tools, tool_named
from qwenbelt.core.errors import InputError, QwenbeltError

if TYPE_CHECKING:
    from qwenbelt.agents.agent_files import DescribedAgent
    from qwenbelt.agents.runtime.code.code_mode import CodeModeOption
    from qwenbelt.agents.runtime.deferred_tools import DeferOption

Face = TypeVar("Face", bound=Callable[..., Any])
NO_TOOLS, ALL_TOOLS = "none", "all"
DEFAULT_TOOLS = ("code_interpreter", "document_search", "read_document", "plot")
# these write nothing but what belongs to the session; others that write are asked about
TRUSTED_TOOLS = frozenset({*DEFAULT_TOOLS, "image_annotate", "shell", "run_skill_script"})


@dataclass(frozen=True)
class AgentChoice:
    """How an agent is to be made.

    Attributes:
        endpoint: the endpoint spec; None looks for one.
        tools: names of tools; empty for `DEFAULT_TOOLS`, ("none",) for none, ("all",) for all.
        mcp: a file with `mcpServers`, servers by name, or None.
        mcp_off: names of servers in it that are not used.
        think: switches the model's thoughts on or off; None leaves it to the model.
        approve: who decides whether a call that is not read-only may run.
        code_mode: whether tools are called from code; None for "auto", or what the agent's file
            says.
        defer_tools: whether tools are found by a search once they take a tenth of the window; None
            for what the agent's file says, or not.
        tool_format: how calls are written; None for what suits the endpoint.
        max_seconds: of a run; None for no limit.
        max_tokens: of a run, read and written; None for no limit.
        skills: folders of skills, or names; beside these the user's own; ("none",) for none.
        skills_off: names of skills that are not used.
        described: the agent's file, which everything else overrules, or None.
    """

    endpoint: str | None = None
    kind: AgentKind = "fncall"
    tools: tuple[str, ...] = ()
    mcp: str | Mapping[str, Any] | None = None
    mcp_off: tuple[str, ...] = ()
    think: bool | None = None
    system: str | None = None
    approve: Literal["untrusted", "ask", "auto", "never"] = "untrusted"
    code_mode: CodeModeOption | None = None
    defer_tools: bool | None = None
    tool_format: str | None = None
    max_seconds: float | None = None
    max_tokens: int | None = None
    skills: tuple[Any, ...] = ()
    skills_off: tuple[str, ...] = ()
    described: DescribedAgent | None = None

    @classmethod
    def of_options(
        cls, *, kind: str = "fncall", instructions: str | None = None, **options: Any
    ) -> AgentChoice:
        """Returns the choice of a command line; what is typed overrules an agent's file.

        Raises:
            ConfigError: `kind` is neither a kind nor an agent's name or file, or there are no
                instructions.
        """
        from qwenbelt.agents.agent_files import CODE_TOOL

        if CODE_TOOL in options.get("tools", ()):
            others = tuple(name for name in options["tools"] if name != CODE_TOOL)
            options = {**options, "tools": others, "code_mode": True}
        if kind in AGENT_KINDS:
            choice = cls(kind=kind, **options)
        else:
            choice = cls(**options)._filled_from(kind)
        if instructions is None:
            return choice
        from qwenbelt.agents.agent_files import folder_instructions

        parts = filter(None, (choice.system, folder_instructions(instructions)))
        return replace(choice, system="\n\n".join(parts))

    def _filled_from(self, which: str) -> AgentChoice:
        from qwenbelt.agents.agent_files import agent_file, read_agent

        found = read_agent(agent_file(which))
        return replace(
            self,
            endpoint=self.endpoint or found.endpoint,
            kind=found.agent,
            tools=self.tools or tuple(found.tools) or (NO_TOOLS,),
            mcp=self.mcp or found.mcp or None,
            think=found.thinking if self.think is None else self.think,
            code_mode=found.code_mode if self.code_mode is None else self.code_mode,
            system=found.prompt if self.system is None else self.system,
            skills=self.skills or tuple(found.skills),
            described=found,
        )


def agent_options(function: Face) -> Face:
    """Adds the options that `run`, `chat`, `gui` and `serve` share."""
    options = [
        click.option("-e", "--endpoint", metavar="SPEC", help="Model, e.g. dashscope:qwen-plus."),
        click.option(
            "-a",
            "--agent",
            "kind",
            default="fncall",
            metavar="NAME",
            help="fncall, react, assistant, or an agent of a file: its name or path.",
        ),
        click.option(
            "-t", "--tool", "tools", multiple=True, metavar="NAME", help="A tool, all, or none."
        ),
        click.option("--mcp", metavar="FILE.json", help="MCP servers whose tools are added."),
        click.option(
            "--skills",
            multiple=True,
            metavar="FOLDER",
            help="Skills, by folder or name, beside the user's own; none for none.",
        ),
        click.option(
            "--defer-tools/--no-defer-tools",
            default=None,
            help="Find tools by a search once they take a tenth of the window.",
        ),
        click.option(
            "--code-mode/--no-code-mode",
            default=None,
            help="Call the tools from code (also -t code); by default where that pays.",
        ),
        click.option("--think/--no-think", default=None, help="The model's thoughts on or off."),
        click.option("--system", metavar="TEXT", help="The system message."),
        *run_options(),
        click.option("--instructions", metavar="FOLDER", help="Add this folder's AGENTS.md to it."),
        click.option(
            "--approve",
            type=click.Choice(["untrusted", "ask", "auto", "never"]),
            default="untrusted",
            help="Calls with effects: ask where text of others may have chosen what they aim at, "
            "ask always, allow all, or refuse all.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def run_options() -> list[Callable[[Face], Face]]:
    """Returns the options of how calls are written and of what a run may use up."""
    return [
        click.option(
            "--tool-format",
            type=click.Choice(["native", "nous", "constrained", "react"]),
            help="How calls are written; by default what suits the endpoint.",
        ),
        click.option(
            "--max-seconds",
            type=click.FloatRange(0, min_open=True),
            help="A run's time; then the model has to answer.",
        ),
        click.option(
            "--max-tokens",
            type=click.IntRange(1),
            help="A run's tokens, read and written; then the model has to answer.",
        ),
    ]


def with_run_options(function: Face) -> Face:
    """Adds `run_options` to a command."""
    for option in reversed(run_options()):
        function = option(function)
    return function


def make_agent(choice: AgentChoice, made: dict[str, Any] | None = None, **settings: Any) -> Any:
    """Makes the agent.

    Args:
        choice: what the person chose.
        made: tool objects by name, used again and added to; what they hold, such as a kernel,
            then outlives the agent.
        **settings: further constructor arguments of the agent.

    Raises:
        ConfigError: there is no endpoint, or the MCP file cannot be used.
        InputError: there is no tool of a name.
    """
    from qwenbelt.agents import Budget, endpoint
    from qwenbelt.agents.kinds import agent_class

    extra: dict[str, Any] = {} if choice.think is None else {"thinking": choice.think}
    if choice.tool_format:
        extra["tool_format"] = choice.tool_format
    if choice.max_seconds or choice.max_tokens:
        budget = Budget(seconds=choice.max_seconds, tokens=choice.max_tokens)
        settings = {"budget": budget, **settings}
    llm = endpoint(choice.endpoint, **extra)
    found = choice.described
    tools = function_list(choice, {} if made is None else made)
    if found is not None:
        known = {"name": found.name, "description": found.description, "hooks": found.hooks}
        settings = {**known, "files": found.files, **settings}
        tools += found.subagent_tools(llm)
    return agent_class(choice.kind)(
        function_list=tools,
        llm=llm,
        skills=skill_sources(choice.skills, choice.skills_off),
        system_message=choice.system,
        approve=choice.approve,
        code_mode="auto" if choice.code_mode is None else choice.code_mode,
        defer_tools=_deferred(choice),
        **settings,
    )


def _deferred(choice: AgentChoice) -> DeferOption:
    if choice.defer_tools is None:
        return choice.described.defer_tools if choice.described else False
    return "auto" if choice.defer_tools else False


def function_list(choice: AgentChoice, made: dict[str, Any]) -> list[Any]:
    """Returns the tools of a choice as an agent takes them."""
    names = tool_names(choice.tools)
    if choice.code_mode and "code_interpreter" not in names:
        names.append("code_interpreter")  # kept with the others, for its session's sake
    for name in names:
        if name not in made:
            made[name] = tool_named(name)
    tools = [made[name] for name in names]
    if choice.mcp:
        lazy = bool(_deferred(choice))
        key = f"{choice.mcp} without {sorted(choice.mcp_off)}, lazy: {lazy}"
        if key not in made:
            made[key] = _mcp_tools(choice.mcp, choice.mcp_off, lazy=lazy)
        tools += made[key]
    return tools


def skill_sources(given: Sequence[Any], off: Sequence[str] = ()) -> list[Any]:
    """Returns the sources of an agent's skills: what was chosen, and the user's own.

    Args:
        given: what was chosen.
        off: names of skills that are left out.
    """
    from qwenbelt.tools.skills.library import user_folder

    if NO_TOOLS in given:
        if len(given) > 1:
            raise InputError(say("none_alone"))
        return []
    found = [*given, "user"] if user_folder().is_dir() else list(given)
    if not off:
        return found
    entries = (one if isinstance(one, Mapping) else {"folder": one} for one in found)
    return [{**entry, "without": [*entry.get("without", ()), *off]} for entry in entries]


def _mcp_tools(file: str | Mapping[str, Any], off: Sequence[str], *, lazy: bool) -> list[Any]:
    from qwenbelt.tools.mcp import mcp_tools
    from qwenbelt.tools.mcp.config import server_entries

    servers = {name: cfg for name, cfg in server_entries(file).items() if name not in off}
    return mcp_tools({"mcpServers": servers}, lazy=lazy) if servers else []


def tool_names(names: Sequence[str]) -> list[str]:
    """Returns the names of the chosen tools.

    Raises:
        InputError: "none" is given together with others.
    """
    if not names:
        return list(DEFAULT_TOOLS)
    if NO_TOOLS in names:
        if len(names) > 1:
            raise InputError(say("none_alone"))
        return []
    if ALL_TOOLS in names:
        names = [name for name, tool in pack_tools() if not isinstance(tool, QwenbeltError)]
    return list(dict.fromkeys(names))


def trusted_tools(agent: Any) -> set[str]:
    """Returns the names of the tools that need no person's approval to run.

    These are tools of this pack that keep to the session's own folder; the code interpreter only
    where its code is isolated.
    """
    return {name for name, tool in agent.function_map.items() if _keeps_to_itself(tool)}


def _keeps_to_itself(tool: Any) -> bool:
    if tool.name not in TRUSTED_TOOLS or not type(tool).__module__.startswith("qwenbelt.tools."):
        return False
    if tool.name in ("shell", "run_skill_script"):
        return bool(tool.contained)
    return tool.name != "code_interpreter" or code_is_isolated()


def code_is_isolated() -> bool:
    """Says whether model-written code runs in a sandbox here."""
    from qwenbelt.tools.code_interpreter import isolation_level

    return isolation_level() != "none"
