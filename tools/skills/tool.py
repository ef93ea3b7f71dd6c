"""The tools by which a model uses skills: `load_skill`, `run_skill_script`, `search_skills`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, field_validator

from qwenbelt.core.errors import ToolError
from qwenbelt.tools.base import Tool, ToolContext, ToolResult
from qwenbelt.tools.code_interpreter.command import SandboxCommands, command_for
from qwenbelt.tools.skills.library import SkillLibrary
from qwenbelt.tools.skills.strings import say

LOAD, RUN, SEARCH = "load_skill", "run_skill_script", "search_skills"
_NAMED_FILES = 60


class LoadSkillArguments(BaseModel):
    """The arguments of `load_skill`."""

    name: str = Field(description="The skill's name.")
    file: str = Field(
        default="", description="Another file of the skill to read, instead of its instructions."
    )


class SkillScriptArguments(BaseModel):
    """The arguments of `run_skill_script`."""

    skill: str = Field(description="The skill's name.")
    script: str = Field(description="The script's path in the skill, such as scripts/make.py.")
    arguments: list[str] = Field(
        default_factory=list, description="Words for its command line; files by their names."
    )
    timeout: float | None = Field(
        default=None, ge=0, description="Time limit in seconds, when it needs longer."
    )

    @field_validator("arguments", mode="before")
    @classmethod
    def _words(cls, given: Any) -> Any:
        """Takes a command line, or options by name, as models write them as well."""
        if isinstance(given, str):
            try:
                return shlex.split(given)
            except ValueError:
                return given.split()
        if isinstance(given, Mapping):
            words = ((f"--{key}", value) for key, value in given.items() if value is not False)
            return [
                text
                for key, value in words
                for text in ([key] if value is True else [key, _word(value)])
            ]
        return [_word(value) for value in given] if isinstance(given, list) else given


def _word(value: Any) -> Any:
    return str(value) if isinstance(value, (int, float)) else value


class SearchSkillsArguments(BaseModel):
    """The arguments of `search_skills`."""

    query: str = Field(description="What is to be done, in a few words.")


class _LibraryTool(Tool):
    """A tool that only reads the library."""

    read_only = True
    idempotent = True

    def __init__(self, library: SkillLibrary) -> None:
        super().__init__()
        self._library = library


class LoadSkill(_LibraryTool):
    """Gives the instructions of a skill, or the text of one of its files."""

    name = LOAD
    description = "Gives a skill's instructions, and the names of its files and scripts."
    Arguments = LoadSkillArguments

    def call(self, params: Any, **kwargs: Any) -> str:
        """Returns the instructions, or the file's text."""
        arguments: LoadSkillArguments = self.parse(params)
        language = (kwargs.get("context") or ToolContext()).language
        skill = self._library.get(arguments.name)
        if arguments.file:
            return skill.text(arguments.file)
        names = ", ".join(skill.files[:_NAMED_FILES])
        more = len(skill.files) - _NAMED_FILES
        names += say("more", language, count=more) if more > 0 else ""
        return "\n\n".join(
            [
                say("head", language, name=skill.name),
                skill.body,
                say("files", language, name=skill.name, files=names),
            ]
        )


class SearchSkills(_LibraryTool):
    """Finds skills by what they are for."""

    name = SEARCH
    description = "Finds skills by what they are for. Load what was found with load_skill."
    Arguments = SearchSkillsArguments

    def call(self, params: Any, **kwargs: Any) -> str:
        """Returns a line for each skill that was found."""
        arguments: SearchSkillsArguments = self.parse(params)
        language = (kwargs.get("context") or ToolContext()).language
        found = self._library.search(arguments.query)
        return self._library.told(found) if found else say("none", language)


class RunSkillScript(Tool):
    """Runs a script of a skill in the sandbox, in the conversation's folder.

    The skill's folder can be read there, nothing else of this machine, and there is no network
    but for skills that were granted one.
    """

    name = RUN
    description = (
        "Runs a script of a skill in a sandbox, in the conversation's working folder. Returns its "
        "output; files that it writes there are given to the user."
    )
    Arguments = SkillScriptArguments
    destructive = False
    file_access = True  # stock agents hand over the conversation's files then
    timeout = None  # the kernel keeps the time limit

    def __init__(self, library: SkillLibrary, cfg: Mapping[str, Any] | None = None) -> None:
        super().__init__(dict(cfg or {}))
        self.timeout = None
        self._library = library
        self._commands: dict[str, SandboxCommands] = {}

    @property
    def contained(self) -> bool:  # type: ignore[override]
        """Whether no skill may reach more than the folder."""
        return all(self._of(name).contained for name in self._library.names)

    def resources(self, arguments: Any) -> tuple[set[str], set[str]]:
        """Scripts of a conversation run one after the other: they share its folder."""
        return set(), {"skill-scripts"}

    def _of(self, name: str) -> SandboxCommands:
        if name not in self._commands:
            folder = self._library.get(name).folder
            cfg = {
                **self.cfg,
                "read_only": [*self.cfg.get("read_only", ()), folder],
                "network": self._library.network(name),
            }
            self._commands[name] = SandboxCommands(cfg, f"skill.{name}")
        return self._commands[name]

    async def acall(self, arguments: SkillScriptArguments, **kwargs: Any) -> ToolResult:
        """Runs the script and returns its output and the files that it has written.

        Raises:
            ToolError: there is no such script, or it cannot be run here.
        """
        skill = self._library.get(arguments.skill)
        script = skill.script(arguments.script)
        if any("\0" in word for word in arguments.arguments):
            raise ToolError("An argument of a script cannot hold a NUL character.")
        words = command_for(script, arguments.arguments)
        if words is None:
            raise ToolError(
                f"{arguments.script} of the skill {skill.name} is no script of Python or a shell."
            )
        return await self._of(skill.name).run(
            words,
            kwargs.get("context") or ToolContext(),
            environment={"SKILL_DIR": str(skill.folder)},
            files=kwargs.get("files"),
            seconds=arguments.timeout,
        )

    def close(self) -> None:
        """Ends the kernels that ran scripts."""
        for commands in self._commands.values():
            commands.close()


def skill_tools(library: SkillLibrary) -> list[Tool]:
    """Returns the tools for a library; a search only where not all skills are named."""
    tools: list[Tool] = [LoadSkill(library), RunSkillScript(library)]
    return [SearchSkills(library), *tools] if library.is_long else tools
