"""One skill: its `SKILL.md`, the files beside it, and what is wrong with them.

A skill is written by others. Its texts are data; what could lead out of its folder, hide
something or fill the machine makes it unusable, with one line that says why.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from qwenbelt.core.errors import ConfigError, InputError, ToolError, one_line
from qwenbelt.core.front_matter import front_matter, yaml_mapping
from qwenbelt.core.limits import input_file
from qwenbelt.core.terminal import terminal_text

FILE = "SKILL.md"
MAX_BYTES = 256 * 1024  # of SKILL.md, and of a text that is read from the folder
MAX_FILES = 2000
MAX_FOLDER_BYTES = 128 * 1024 * 1024
NAME_LENGTH, DESCRIPTION_LENGTH, COMPATIBILITY_LENGTH = 64, 1024, 500
_LONG_BODY = 500  # lines; agentskills.io advises to stay below
_KEYS = ("name", "description", "license", "compatibility", "metadata", "allowed-tools")
_PLAIN_LINE = re.compile(r"^([A-Za-z][\w-]*):[ \t]+(?![\"'|>\[{&*!])(.*:.*)$")
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)")
_ADDRESS = re.compile(r"^(?:[a-zA-Z][\w+.-]*:|#|//)")


@dataclass(frozen=True)
class SkillFinding:
    """Something that is wrong with a skill.

    Attributes:
        error: what is wrong, and how to fix it.
        fatal: whether the skill cannot be used.
    """

    error: ConfigError
    fatal: bool


@dataclass(frozen=True)
class Skill:
    """A skill that can be used.

    Attributes:
        name: its name, which is its folder's.
        description: what it does and when to use it, one line.
        folder: its path, absolute and without links.
        body: the instructions below the head.
        files: the paths of all its files, relative, with forward slashes.
        allowed_tools: what it declares to need; it grants no tool.
    """

    name: str
    description: str
    folder: Path
    body: str
    files: tuple[str, ...] = ()
    license: str = ""
    compatibility: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    allowed_tools: tuple[str, ...] = ()

    def path(self, name: str) -> Path:
        """Returns the place of one of its files.

        Raises:
            ToolError: there is no such file in its folder, or the path leads out of it.
        """
        wanted = PurePosixPath(name)
        outside = wanted.is_absolute() or ".." in wanted.parts or "\0" in name or "\\" in name
        if outside or not wanted.parts:
            raise ToolError(f"{name!r} does not lie in the folder of the skill {self.name}.")
        found = self.folder.joinpath(*wanted.parts)
        try:
            real = found.resolve(strict=True)  # it may have changed since it was examined
            regular = stat.S_ISREG(real.stat().st_mode)
        except (OSError, ValueError, RuntimeError):
            raise self._missing(name) from None
        if not real.is_relative_to(self.folder):
            raise ToolError(f"{name!r} does not lie in the folder of the skill {self.name}.")
        if not regular:
            raise self._missing(name)
        return real

    def _missing(self, name: str) -> ToolError:
        listed = ", ".join(self.files[:40])
        return ToolError(f"The skill {self.name} has no file {name!r}. Its files: {listed}.")

    def script(self, name: str) -> Path:
        """Returns the place of a script; `scripts/` may be left out of its name.

        Raises:
            ToolError: as `path` does.
        """
        if "/" not in name and f"scripts/{name}" in self.files and name not in self.files:
            name = f"scripts/{name}"
        return self.path(name)

    def text(self, name: str) -> str:
        """Returns the text of one of its files.

        Raises:
            ToolError: it is not there, too large, or not text.
        """
        place = self.path(name)
        try:
            return _text(place)
        except ConfigError as error:
            raise ToolError(error.message) from None


@dataclass(frozen=True)
class Examined:
    """A folder that was looked at as a skill.

    Attributes:
        skill: the skill, or None where it cannot be used.
        findings: what is wrong, the fatal ones first.
    """

    folder: Path
    skill: Skill | None
    findings: tuple[SkillFinding, ...]

    @property
    def fault(self) -> ConfigError | None:
        """Why it cannot be used."""
        return next((found.error for found in self.findings if found.fatal), None)


def read_skill(folder: str | os.PathLike[str]) -> Skill:
    """Returns the skill in a folder.

    Raises:
        ConfigError: it cannot be used; one line gives the reason.
    """
    examined = examine(folder)
    if examined.skill is None:
        raise examined.fault or ConfigError(f"{folder}: has no {FILE}.")
    return examined.skill


def examine(folder: str | os.PathLike[str]) -> Examined:
    """Looks at a folder as a skill; raises nothing for what is in it."""
    given = Path(folder).expanduser()
    found: list[SkillFinding] = []
    try:
        skill = _examined(given.resolve(), found)
    except (OSError, ValueError, RuntimeError) as error:
        skill = None
        reason = one_line(getattr(error, "strerror", None) or error)
        found.append(SkillFinding(ConfigError(f"{given}: cannot be read ({reason})."), True))
    except ConfigError as error:
        skill = None
        found.append(SkillFinding(error, True))
    for finding in found:  # paths may hold bytes that are not UTF-8
        finding.error.message = finding.error.message.encode("utf-8", "replace").decode()
    found.sort(key=lambda finding: not finding.fatal)
    usable = skill if not any(finding.fatal for finding in found) else None
    return Examined(given, usable, tuple(found))


def _examined(folder: Path, found: list[SkillFinding]) -> Skill:
    def wrong(error: ConfigError, *, fatal: bool = True) -> None:
        found.append(SkillFinding(error, fatal))

    file = _file_of(folder, wrong)
    text = _text(file)
    parts = front_matter(text)
    if parts is None:
        raise ConfigError(f"{file}: has no head between two lines of ---.")
    table = _table(file, parts[0], wrong)
    files = _files(folder, wrong)
    body = parts[1].strip()
    name = _name(file, table, wrong)
    description = _described(file, table, wrong)
    for key in table:
        if key not in _KEYS:
            wrong(ConfigError(f"{file}: {key!r} is no key of a skill's head."), fatal=False)
    _look_at_body(file, body, files, wrong)
    return Skill(
        name=name,
        description=description,
        folder=folder,
        body=terminal_text(body),
        files=files,
        license=_plain(file, table, "license", wrong),
        compatibility=_plain(file, table, "compatibility", wrong, COMPATIBILITY_LENGTH),
        metadata=_metadata(file, table, wrong),
        allowed_tools=_allowed(file, table, wrong),
    )


def _file_of(folder: Path, wrong: Any) -> Path:
    if not folder.is_dir():
        raise ConfigError(f"{folder}: is not a folder.")
    names = os.listdir(folder)
    other = next((name for name in names if name.lower() == FILE.lower() and name != FILE), None)
    if FILE in names:
        if other is not None:
            wrong(ConfigError(f"{folder}: has {other} beside {FILE}, which counts."), fatal=False)
        return folder / FILE
    if other is None:
        raise ConfigError(f"{folder}: has no {FILE}.")
    wrong(ConfigError(f"{folder / other}: is to be named {FILE}."), fatal=False)
    return folder / other


def _text(path: Path) -> str:
    if path.is_symlink():
        raise ConfigError(f"{path}: is a link; put the file itself there.")
    try:
        raw = input_file(path, max_bytes=MAX_BYTES).read_bytes()
    except InputError as error:
        raise ConfigError(error.message) from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not text in UTF-8.") from None
    if "\0" in text:
        raise ConfigError(f"{path}: is not text in UTF-8.")
    return text


def _table(file: Path, head: str, wrong: Any) -> dict[str, Any]:
    try:
        return yaml_mapping(file, head, above=1, aliases=False)
    except ConfigError:
        # `description: Use when: …` is not YAML, yet many public skills have it
        quoted = "\n".join(_quoted(line) for line in head.splitlines())
        if quoted == head.rstrip("\n"):
            raise
        table = yaml_mapping(file, quoted, above=1, aliases=False)
        wrong(ConfigError(f"{file}: a value with a colon in it needs quotes."), fatal=False)
        return table


def _quoted(line: str) -> str:
    match = _PLAIN_LINE.match(line)
    if match is None:
        return line
    value = match[2].strip().replace("'", "''")
    return f"{match[1]}: '{value}'"


def _name(file: Path, table: Mapping[str, Any], wrong: Any) -> str:
    name = table.get("name")
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{file}: name: must be a text.")
    fault = name_fault(name)
    if fault:
        raise ConfigError(f"{file}: name: {name[:80]!r} {fault}.")
    if name != file.parent.name:
        wrong(ConfigError(f"{file}: name: {name!r} is not the folder's, {file.parent.name!r}."))
    return name


def name_fault(name: str) -> str:
    """Returns what is wrong with a skill's name; empty where nothing is."""
    if len(name) > NAME_LENGTH:
        return f"is longer than {NAME_LENGTH} characters"
    letters = all(char == "-" or (char.isalnum() and char == char.lower()) for char in name)
    if not letters or name != unicodedata.normalize("NFKC", name):
        return "has other characters than lower-case letters, digits and hyphens"
    if name.startswith("-") or name.endswith("-") or "--" in name:
        return "begins or ends with a hyphen, or has two of them together"
    return ""


def _described(file: Path, table: Mapping[str, Any], wrong: Any) -> str:
    text = table.get("description")
    if not isinstance(text, str) or not text.strip():
        raise ConfigError(f"{file}: description: must be a text.")
    if len(text) > DESCRIPTION_LENGTH:
        wrong(ConfigError(f"{file}: description: is longer than {DESCRIPTION_LENGTH} characters."))
    if terminal_text(text) != text:
        wrong(ConfigError(f"{file}: description: holds characters that nobody sees."))
    if re.search(r"<[/a-zA-Z|!]", text):
        wrong(ConfigError(f"{file}: description: holds markup."), fatal=False)
    return one_line(terminal_text(text), DESCRIPTION_LENGTH)


def _plain(file: Path, table: Mapping[str, Any], key: str, wrong: Any, limit: int = 0) -> str:
    value = table.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        wrong(ConfigError(f"{file}: {key}: must be a text."), fatal=False)
        return ""
    if limit and len(value) > limit:
        wrong(ConfigError(f"{file}: {key}: is longer than {limit} characters."), fatal=False)
    return one_line(terminal_text(value))


def _metadata(file: Path, table: Mapping[str, Any], wrong: Any) -> dict[str, str]:
    value = table.get("metadata")
    if value is None:
        return {}
    if not isinstance(value, dict):
        wrong(ConfigError(f"{file}: metadata: must hold names and values."), fatal=False)
        return {}
    return {one_line(key, 64): one_line(terminal_text(str(text))) for key, text in value.items()}


def _allowed(file: Path, table: Mapping[str, Any], wrong: Any) -> tuple[str, ...]:
    value = table.get("allowed-tools")
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(terminal_text(word) for word in re.findall(r"[^\s,(]+(?:\([^)]*\))?", value))
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return tuple(terminal_text(word) for word in value)
    wrong(ConfigError(f"{file}: allowed-tools: must be a text."), fatal=False)
    return ()


def _files(folder: Path, wrong: Any) -> tuple[str, ...]:
    """Returns the files below a folder; links that lead out of it and devices are reported."""
    names: list[str] = []
    size = 0
    for entry in _walked(folder):
        name = Path(entry.path).relative_to(folder).as_posix()
        if not name.isascii() and name.encode("utf-8", "replace") != os.fsencode(name):
            wrong(ConfigError(f"{folder}: the name {name!r} is not in UTF-8."), fatal=False)
            continue
        if entry.is_symlink():
            target = Path(entry.path).resolve()
            if not target.is_relative_to(folder):
                raise ConfigError(f"{folder}: {name} is a link that leads out of the skill.")
            if target.is_file():
                names.append(name)
            continue
        info = entry.stat(follow_symlinks=False)
        if not stat.S_ISREG(info.st_mode):
            raise ConfigError(f"{folder}: {name} is neither a file nor a folder.")
        names.append(name)
        size += info.st_size
        if len(names) > MAX_FILES:
            raise ConfigError(f"{folder}: holds more than {MAX_FILES} files.")
        if size > MAX_FOLDER_BYTES:
            raise ConfigError(f"{folder}: holds more than {MAX_FOLDER_BYTES / 1e6:.0f} MB.")
    return tuple(sorted(names))


def _walked(folder: Path, depth: int = 0) -> Iterator[os.DirEntry[str]]:
    if depth > 16:
        raise ConfigError(f"{folder}: its folders are nested too deeply.")
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name in (".git", "__pycache__", ".DS_Store"):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walked(Path(entry.path), depth + 1)
            else:
                yield entry


def _look_at_body(file: Path, body: str, files: tuple[str, ...], wrong: Any) -> None:
    if not body:
        wrong(ConfigError(f"{file}: has no instructions below its head."), fatal=False)
    if body.count("\n") >= _LONG_BODY:
        wrong(ConfigError(f"{file}: is longer than {_LONG_BODY} lines."), fatal=False)
    if terminal_text(body) != body:
        wrong(ConfigError(f"{file}: holds characters that nobody sees."), fatal=False)
    for link in dict.fromkeys(_LINK.findall(body)):
        if _ADDRESS.match(link):
            continue
        target = PurePosixPath(link.split("#", 1)[0])
        if target.is_absolute() or ".." in target.parts:
            wrong(ConfigError(f"{file}: the link {link!r} leads out of the skill."), fatal=False)
        elif target.as_posix() not in files and not (file.parent / target).is_dir():
            wrong(ConfigError(f"{file}: there is no {link!r}."), fatal=False)
