"""Agents described by files: a prompt under a name, with its tools, MCP servers and endpoint.

    ---
    description: Reviews contracts.
    agent: assistant
    tools: [document_search]
    mcp: servers.json
    endpoint: dashscope:qwen3-max
    ---
    You review contracts. Name the clause of every finding.

That is `reviewer.md`; a YAML file has the same keys and `prompt`. Files lie in `agents/` of the
user's configuration folder or of the working directory; of two of one name the user's own counts,
so that no folder from elsewhere can take its place.
"""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qwenbelt.agents.kinds import AGENT_KINDS, AgentKind, agent_class
from qwenbelt.core.errors import ConfigError, InputError, one_line
from qwenbelt.core.front_matter import front_matter, yaml_mapping
from qwenbelt.core.language import detect_language
from qwenbelt.core.limits import input_file
from qwenbelt.core.settings import config_folder
from qwenbelt.tools.mcp.config import server_entries

if TYPE_CHECKING:
    from qwenbelt.agents.fncall import FnCallAgent

MAX_BYTES = 256 * 1024
CODE_TOOL = "code"  # in the list of tools: the others are called from code
INSTRUCTIONS = "AGENTS.md"  # the name that https://agents.md gives to a folder's instructions
_SUFFIXES = (".md", ".yaml", ".yml")
_OF_FOLDER = {
    "en": "Instructions of the folder {folder}, from its {file}:",
    "zh": "文件夹 {folder} 的说明（{file}）：",
}


class DescribedAgent(BaseModel):
    """An agent as its file describes it.

    Attributes:
        name: its name for people and other agents; the file's by default.
        prompt: the system message.
        agent: how it decides.
        tools: names of registered tools.
        mcp: MCP servers by name; in the file also the path of a JSON file with `mcpServers`.
        endpoint: the endpoint spec; None for the usual one.
        thinking: switches the model's thoughts on or off; None leaves it to the model.
        code_mode: whether the tools are called from code, "auto", or the names of those that are.
        defer_tools: whether tools are found by a search instead of being declared: "auto" once
            they take a tenth of the window, or the names of those that are.
        background: names of tools whose calls the model does not wait for.
        files: documents that belong to it, absolute.
        skills: folders of skills, absolute, or names of skills.
        hooks: names of hooks, each "module:name".
        subagents: names or files of agents that it may give tasks to.
        path: the file itself.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    prompt: str = Field(min_length=1)
    description: str = ""
    agent: AgentKind = "fncall"
    tools: list[str] = Field(default_factory=list)
    mcp: dict[str, dict[str, Any]] = Field(default_factory=dict)
    endpoint: str | None = None
    thinking: bool | None = None
    code_mode: bool | Literal["auto"] | list[str] = False
    defer_tools: bool | Literal["auto"] | list[str] = False
    background: list[str] = Field(default_factory=list)
    files: list[str] = Field(default_factory=list)
    skills: list[str | dict[str, Any]] = Field(default_factory=list)
    hooks: list[str] = Field(default_factory=list)
    subagents: list[str] = Field(default_factory=list)
    path: Path

    def make(self, *, above: tuple[Path, ...] = (), **settings: Any) -> FnCallAgent:
        """Makes the agent.

        Args:
            above: files of the agents whose subagent it is.
            **settings: constructor arguments of the agent, in place of what the file says.

        Raises:
            ConfigError: a tool is not known, a server does not start, or there is no endpoint.
        """
        import qwenbelt.tools  # noqa: F401  registers our tools
        from qwenbelt.agents.models.endpoints import endpoint

        tools: list[Any] = [*self.tools]
        if self.mcp:
            tools.append({"mcpServers": self.mcp})
        if "llm" not in settings:
            extra: dict[str, Any] = {} if self.thinking is None else {"thinking": self.thinking}
            settings["llm"] = endpoint(self.endpoint, **extra)
        known = {
            "function_list": tools,
            "system_message": self.prompt,
            "name": self.name,
            "description": self.description,
            "files": self.files,
            "code_mode": self.code_mode,
            "defer_tools": self.defer_tools,
            "background": self.background,
            "hooks": self.hooks,
            "skills": self.skills,
        }
        tools += self.subagent_tools(settings["llm"], above)
        return agent_class(self.agent)(**{**known, **settings})

    def subagent_tools(self, llm: Any, above: tuple[Path, ...] = ()) -> list[Any]:
        """Returns its subagents as tools.

        Args:
            llm: the model of those whose files name none.
            above: files of the agents whose subagent this one is.

        Raises:
            ConfigError: there is no such agent, or one is its own subagent.
        """
        own = (*above, self.path.resolve())
        tools = []
        for which in self.subagents:
            beside = self.path.parent / which
            found = read_agent(beside if beside.suffix in _SUFFIXES else agent_file(which))
            if found.path.resolve() in own:
                raise ConfigError(f"{self.path}: subagents: {which!r} would be its own subagent.")
            settings = {} if found.endpoint else {"llm": llm}
            agent = found.make(**settings, above=own)
            tools.append(agent.as_tool(_tool_name(found.name), found.description or found.name))
        return tools


def load_agent(which: str | os.PathLike[str], **settings: Any) -> FnCallAgent:
    """Makes the agent that a file describes.

    Args:
        which: its name, or the path of its file.
        **settings: constructor arguments of the agent, in place of what the file says.

    Raises:
        ConfigError: there is no such agent, or its file is wrong; one line names the place.
    """
    return read_agent(agent_file(which)).make(**settings)


def agent_folders() -> tuple[Path, ...]:
    """Returns the folders in which agents are looked for, the first one first."""
    return config_folder() / "agents", Path.cwd() / "agents"


def find_agents() -> dict[str, Path]:
    """Returns the files of all agents by name."""
    found: dict[str, Path] = {}
    for folder in agent_folders():
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
        for path in inside:
            if path.suffix in _SUFFIXES and path.is_file() and _is_agent(path):
                found.setdefault(path.stem, path)
    return found


def _is_agent(path: Path) -> bool:
    """Returns whether a file is meant as an agent: Markdown only with a head."""
    if path.suffix != ".md":
        return True
    with path.open("rb") as file:
        return file.read(6).removeprefix(codecs.BOM_UTF8).startswith(b"---")


def agent_file(which: str | os.PathLike[str]) -> Path:
    """Returns the file of an agent.

    Raises:
        ConfigError: there is none.
    """
    name = os.fspath(which)
    if name.endswith(_SUFFIXES) or os.sep in name:
        return Path(name).expanduser()
    known = find_agents()
    if name not in known:
        folders = " or ".join(str(folder) for folder in agent_folders())
        there = f"There are: {', '.join(known)}. " if known else ""
        raise ConfigError(
            f"There is no agent {name!r}; kinds are {', '.join(AGENT_KINDS)}.",
            fix=f"{there}Put {name}.md into {folders}.",
        )
    return known[name]


def read_agent(path: Path) -> DescribedAgent:
    """Reads the file of an agent.

    Raises:
        ConfigError: it cannot be read or is wrong; one line names the place.
    """
    try:
        text = input_file(path, max_bytes=MAX_BYTES).read_text(encoding="utf-8-sig")
    except (InputError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as an agent ({one_line(error)}).") from error
    table = _front_matter(path, text) if path.suffix == ".md" else yaml_mapping(path, text)
    folder = path.resolve().parent
    tools = table.get("tools")
    if isinstance(tools, list) and CODE_TOOL in tools:
        others = [name for name in tools if name != CODE_TOOL]
        table = {"code_mode": True, **table, "tools": others}
    try:
        if isinstance(table.get("mcp"), str):
            table["mcp"] = dict(server_entries(folder / table["mcp"]))
        given = {"name": path.stem, **table, "path": path}
        described = DescribedAgent.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ConfigError(f"{path}: {where}: {one_line(first['msg'])}.") from error
    files = [str(folder / Path(name).expanduser()) for name in described.files]
    skills = [_skill_source(folder, entry) for entry in described.skills]
    return described.model_copy(update={"files": files, "skills": skills})


def _skill_source(folder: Path, entry: str | dict[str, Any]) -> str | dict[str, Any]:
    """Returns a source of skills, a path in it taken from the agent's folder."""
    if isinstance(entry, dict):
        return {**entry, "folder": _skill_source(folder, str(entry.get("folder", "")))}
    is_path = entry.startswith((".", "~")) or "/" in entry or os.sep in entry
    return str(folder / Path(entry).expanduser()) if is_path else entry


def _tool_name(name: str) -> str:
    """Returns an agent's name as models take the name of a tool."""
    return re.sub(r"[^\w-]", "_", name)[:64]


def _front_matter(path: Path, text: str) -> dict[str, Any]:
    found = front_matter(text)
    if found is None:
        raise ConfigError(f"{path}: has no head between two lines of ---.")
    head, body = found
    table = yaml_mapping(path, head, above=1)
    if "prompt" in table:
        raise ConfigError(f"{path}: prompt: the text below the head is the prompt.")
    return {**table, "prompt": body.strip()}


def folder_instructions(folder: str | os.PathLike[str]) -> str:
    """Returns the instructions in a folder's AGENTS.md as a text for a system message.

    Raises:
        ConfigError: the folder has none, or they cannot be read.
    """
    path = Path(folder).expanduser() / INSTRUCTIONS
    try:
        text = input_file(path, max_bytes=MAX_BYTES).read_text(encoding="utf-8-sig").strip()
    except (InputError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({one_line(error)}).") from error
    head = _OF_FOLDER[detect_language(text)]
    return f"{head.format(folder=path.parent.resolve(), file=INSTRUCTIONS)}\n\n{text}"
