"""The sets by name; each adapter is imported when its set is asked for."""

from __future__ import annotations

import importlib
from pathlib import Path

from qwenbelt.core.errors import InputError
from qwenbelt.workflows.evaluation.cases import EvalSet
from qwenbelt.workflows.evaluation.graders import CodeGrader
from qwenbelt.workflows.evaluation.own_set import OwnSet

NAMES = {
    "bfcl": "qwenbelt.workflows.evaluation.bfcl:BerkeleySet",
    "acebench": "qwenbelt.workflows.evaluation.acebench:AceBenchSet",
    "dabench": "qwenbelt.workflows.evaluation.dabench:DataAnalysisSet",
    "tau2": "qwenbelt.workflows.evaluation.tau2:Tau2Set",
    "agentdojo": "qwenbelt.workflows.evaluation.agentdojo:AgentDojoSet",
}


def set_of(
    name: str,
    data: str | None = None,
    groups: tuple[str, ...] = (),
    code: CodeGrader | None = None,
) -> EvalSet:
    """Returns a benchmark by name, or the set of a JSONL file.

    Args:
        name: the name or the file.
        data: the folder of its data, or of the files that it names.
        groups: only these groups; all that the adapter takes by default.
        code: runs graders that are code.

    Raises:
        InputError: there is no such set, or its data cannot be read.
        ConfigError: a package that it needs is missing.
    """
    folder = Path(data).expanduser() if data else None
    if folder is not None and not folder.is_dir():
        raise InputError(f"{folder}: is not a folder.")
    if name in NAMES:
        module, _, attribute = NAMES[name].partition(":")
        made: EvalSet = getattr(importlib.import_module(module), attribute)(folder, groups)
        return made
    path = Path(name).expanduser()
    if path.suffix != ".jsonl" and not path.is_file():
        raise InputError(
            f"There is no set named {name!r}.",
            fix=f"Names: {', '.join(NAMES)}; or give a JSONL file of your own.",
        )
    return OwnSet(path, folder, code)
