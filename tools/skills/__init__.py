"""Skills: folders with a `SKILL.md` as agentskills.io defines them.

from qwenbelt.tools.skills import SkillLibrary, examine

SkillLibrary(["./skills"]).names                # -> ["tidy-data", ...]
examine("./skills/tidy-data").findings          # -> what is wrong with it, one line each
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenbelt.core.lazy import lazy

if TYPE_CHECKING:
    from qwenbelt.tools.skills.library import SkillLibrary
    from qwenbelt.tools.skills.skill import Skill, examine, read_skill
    from qwenbelt.tools.skills.starter import new_skill

__all__ = ["Skill", "SkillLibrary", "examine", "new_skill", "read_skill"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "qwenbelt.tools.skills.library": ("SkillLibrary",),
        "qwenbelt.tools.skills.skill": ("Skill", "examine", "read_skill"),
        "qwenbelt.tools.skills.starter": ("new_skill",),
    },
)
