"""A new skill, ready to be filled in."""

from __future__ import annotations

from pathlib import Path

from qwenbelt.core.errors import ConfigError
from qwenbelt.tools.skills.skill import DESCRIPTION_LENGTH, FILE, name_fault

_BODY = """---
name: {name}
description: {description}
---

# {name}

What to do, step by step. Say what comes in, what comes out, and how to check it.

1. Look at the file that the user gave.
2. Run the script: `scripts/{script}` with the file's name as its argument.
3. Tell the user what it printed.
"""
_DESCRIPTION = "What it does, and when to use it, in one or two sentences."
_SCRIPT = '''"""Says how many lines a file has."""

import sys
from pathlib import Path

for name in sys.argv[1:]:
    print(f"{name}: {len(Path(name).read_text().splitlines())} lines")
'''


def new_skill(folder: Path, description: str = "") -> Path:
    """Makes a skill and returns its SKILL.md.

    Args:
        folder: where; its last part is the skill's name.
        description: what it does and when to use it.

    Raises:
        ConfigError: the name is no skill's, or something is there already.
    """
    name = folder.name
    fault = name_fault(name) if name else "is empty"
    if fault:
        raise ConfigError(f"{name!r} {fault}.")
    if len(description) > DESCRIPTION_LENGTH:
        raise ConfigError(f"The description is longer than {DESCRIPTION_LENGTH} characters.")
    if folder.exists():
        raise ConfigError(f"{folder}: is there already.")
    script = "count_lines.py"
    text = " ".join(description.split()) or _DESCRIPTION
    if any(mark in text for mark in ":#'\"\\[]{}&*!|>%@`") or text[:1] in "-?":
        text = "'" + text.replace("'", "''") + "'"
    (folder / "scripts").mkdir(parents=True)
    (folder / "scripts" / script).write_text(_SCRIPT, encoding="utf-8")
    file = folder / FILE
    file.write_text(
        _BODY.format(name=name, description=text, script=script), encoding="utf-8", newline="\n"
    )
    return file
