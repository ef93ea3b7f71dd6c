"""The skills of an agent: where they come from, how they are announced and found."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import ConfigError, ToolError, one_line
from qwenbelt.core.language import Language
from qwenbelt.core.settings import config_folder
from qwenbelt.tools.search.index import ToolIndex
from qwenbelt.tools.skills.skill import FILE, Examined, Skill, SkillFinding, examine
from qwenbelt.tools.skills.strings import LINE, LISTED, MANY, NOTE

SHIPPED = Path(__file__).resolve().parent / "shipped"
MOST_LISTED = 40  # skills announced to the model by name; with more it is asked to search
_DEPTH = 3  # folders below the one that was given, as repositories of skills have them
_MOST_FOLDERS = 5000
_PASSED_OVER = {"node_modules", "__pycache__"}


class SkillLibrary:
    """Skills by name.

    Args:
        sources: folders of skills, or of one; names of skills in the user's folder or shipped;
            "user" and "shipped" for all of those; or {"folder": …, "network": true or hosts},
            whose scripts may reach these hosts, and "without": names that are left out. Of two of a
            name the first counts.

    Raises:
        ConfigError: a source is not there, or holds no skill that can be used.
    """

    def __init__(self, sources: Sequence[str | os.PathLike[str] | Mapping[str, Any]]) -> None:
        self._skills: dict[str, Skill] = {}
        self._network: dict[str, object] = {}
        self.refused: dict[str, Examined] = {}
        self._index: ToolIndex | None = None
        self._lock = threading.Lock()
        for source in [sources] if isinstance(sources, (str, os.PathLike, Mapping)) else sources:
            self._add(source)

    def _add(self, source: str | os.PathLike[str] | Mapping[str, Any]) -> None:
        network: object = False
        without: Sequence[str] = ()
        if isinstance(source, Mapping):
            unknown = sorted(set(source) - {"folder", "network", "without"})
            if unknown or not source.get("folder"):
                raise ConfigError('A source of skills takes "folder", "network" and "without".')
            without = source.get("without", ())
            network, named = source.get("network", False), str(source["folder"])
        else:
            named = os.fspath(source)
        place = place_of(named)
        usable, first = 0, None
        for examined in found_in(place):
            name = examined.folder.name
            first = first or examined.fault
            if examined.skill is None:
                self.refused.setdefault(name, examined)
            elif name not in self._skills and name not in without:
                self._skills[name], self._network[name] = examined.skill, network
            usable += examined.skill is not None
        if not usable and place != user_folder():
            raise first or ConfigError(f"{place}: holds no skill.", fix=f"Add NAME/{FILE} to it.")

    @property
    def names(self) -> list[str]:
        """The names of the skills that can be used."""
        return list(self._skills)

    @property
    def is_long(self) -> bool:
        """Whether there are too many to name them all to the model."""
        return len(self._skills) > MOST_LISTED

    def __len__(self) -> int:
        return len(self._skills)

    def __iter__(self) -> Iterator[Skill]:
        return iter(self._skills.values())

    def network(self, name: str) -> object:
        """Returns the hosts that scripts of a skill may reach: False, True, or names."""
        return self._network[name]

    def get(self, name: str) -> Skill:
        """Returns a skill.

        Raises:
            ToolError: there is none of that name, or it cannot be used.
        """
        if name in self._skills:
            return self._skills[name]
        refused = self.refused.get(name)
        if refused is not None:
            raise ToolError(f"The skill {name} cannot be used: {refused.fault}")
        near = self.search(name, 5) if self.is_long else self.names
        raise ToolError(f"There is no skill {name!r}. Skills: {', '.join(near)}.")

    def search(self, query: str, k: int = 8) -> list[str]:
        """Returns the names of the skills that fit a question best."""
        with self._lock:
            if self._index is None:
                self._index = ToolIndex(
                    {"name": skill.name, "description": skill.description, "parameters": {}}
                    for skill in self
                )
            return self._index.search(query, k)

    def told(self, names: Sequence[str]) -> str:
        """Returns a line for each of these skills; what their authors wrote stays on its line."""
        return "\n".join(
            LINE.format(name=name, description=one_line(self._skills[name].description, 400))
            for name in names
        )

    def listing(self, language: Language) -> str:
        """Returns what the system message says about the skills."""
        if self.is_long:
            return f"{MANY[language].format(count=len(self))}\n{NOTE[language]}"
        return f"{LISTED[language]}\n{self.told(self.names)}\n{NOTE[language]}"


def user_folder() -> Path:
    """Returns the folder of the user's own skills; it need not be there."""
    return config_folder() / "skills"


def place_of(text: str) -> Path:
    """Returns the folder that a source names."""
    if text == "shipped":
        return SHIPPED
    if text == "user":
        return user_folder()
    if os.sep not in text and not text.startswith((".", "~")):
        for folder in (user_folder(), SHIPPED):
            if (folder / text / FILE).is_file():
                return folder / text
    place = Path(text).expanduser()
    if place.is_dir():
        return place
    shipped = ", ".join(sorted(path.parent.name for path in SHIPPED.glob(f"*/{FILE}")))
    raise ConfigError(
        f"There is no skill and no folder of skills {text!r}.", fix=f"Shipped are: {shipped}."
    )


def found_in(place: Path) -> list[Examined]:
    """Returns the skills in a folder, or the one that the folder is."""
    folders = list(_skill_folders(place, [_MOST_FOLDERS]))
    return [_linked(folder, place) or examine(folder) for folder in folders]


def _linked(folder: Path, place: Path) -> Examined | None:
    """Refuses a skill's folder that is a link to somewhere else."""
    if folder == place or folder.resolve().is_relative_to(place.resolve()):
        return None
    error = ConfigError(
        f"{folder}: is a link that leads out of the folder of skills.",
        fix="Name the folder that it leads to as a source.",
    )
    return Examined(folder, None, (SkillFinding(error, True),))


def _skill_folders(folder: Path, left: list[int], depth: int = 0) -> Iterator[Path]:
    left[0] -= 1
    if left[0] < 0:
        return
    try:
        inside = sorted(os.listdir(folder))
    except OSError:
        return
    if any(name.lower() == FILE.lower() for name in inside):
        yield folder
        return
    if depth >= _DEPTH or (depth and folder.is_symlink()):
        return
    for name in inside:
        if not name.startswith(".") and name not in _PASSED_OVER and (folder / name).is_dir():
            yield from _skill_folders(folder / name, left, depth + 1)
