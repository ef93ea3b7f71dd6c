"""Lists the licence of everything that qwenbelt and its extras stand on; a strange one is an error.

    python .ci/licences.py [EXTRA...]

reads what is installed in this environment, so install the extras first (all are looked at unless
some are named; what is not installed is counted at the end). Permissive licences pass, and weak
copyleft (MPL, LGPL), because the packages are used unchanged as libraries. Anything else must be
allowed here, by name and with the reason, by a person.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution, metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PERMISSIVE = set(
    "0BSD Apache-2.0 BSD BSD-2-Clause BSD-3-Clause CC0-1.0 CNRI-Python ISC MIT MIT-0 MIT-CMU "
    "OFL-1.1 PSF-2.0 Unlicense Zlib".split()
)
WEAK = {"LGPL-3.0-only", "LGPL-3.0-or-later", "MPL-2.0"}

APPROVALS = ("OSI Approved", "DFSG approved")  # say who approves, not what

# how metadata without an SPDX expression spells them
SPELLINGS = {
    "Apache 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "3-Clause BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT license": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "SIL Open Font License 1.1 (OFL-1.1)": "OFL-1.1",
}

# packages whose metadata says nothing, or not which version: what their repositories say
BY_HAND = {
    "asttokens": "Apache-2.0",
    "dotenv": "BSD-3-Clause",
    "kubernetes-validate": "Apache-2.0",
    "officemath2latex": "MIT",
    "qwen-agent": "Apache-2.0",
    "pypdfium2": "BSD-3-Clause AND Apache-2.0",
}

# wheels that carry a program under another licence than their own; it is run, never linked
PROGRAMS = {
    "imageio-ffmpeg": "carries an ffmpeg binary under GPL-3.0-or-later, run as a process of its "
    "own; only with the extra vision, and not part of qwenbelt's own wheel",
}


def main(extras: list[str]) -> int:
    wanted = extras or metadata("qwenbelt").get_all("Provides-Extra") or []
    found, missing = closure("qwenbelt", wanted)
    strange = []
    for name, package in sorted(found.items()):
        licence = licence_of(name, package)
        print(f"{name} {package.version}: {licence or 'UNKNOWN'}")
        if name in PROGRAMS:
            print(f"  {PROGRAMS[name]}")
        if not allowed(licence):
            strange.append(f"{name} ({licence or 'unknown'})")
    print(f"strange: {', '.join(strange) or 'none'}")
    print(f"licences: {len(found)} packages, {len(missing)} not installed, {len(strange)} strange")
    return 1 if strange else 0


def closure(name: str, extras: Iterable[str]) -> tuple[dict[str, Distribution], set[str]]:
    """What a package needs, by canonical name, and what of it is not installed."""
    found: dict[str, Distribution] = {}
    missing: set[str] = set()
    done: set[tuple[str, str]] = set()
    queue = [(name, extra) for extra in ("", *extras)]
    while queue:
        place = name, extra = queue.pop()
        if place in done:
            continue
        done.add(place)
        try:
            found[canonicalize_name(name)] = package = distribution(name)
        except PackageNotFoundError:
            missing.add(canonicalize_name(name))
            continue
        for text in package.requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                queue += [(needed.name, each) for each in ("", *needed.extras)]
    return found, missing


def licence_of(name: str, package: Distribution) -> str:
    """An SPDX expression, or what the metadata says, or nothing."""
    told = package.metadata
    if name in BY_HAND:
        return BY_HAND[name]
    if told.get("License-Expression"):
        return str(told["License-Expression"])
    lines = [line for line in told.get_all("Classifier") or () if line.startswith("License ::")]
    kinds = [line.split(" :: ")[-1] for line in lines]
    kinds = [SPELLINGS.get(kind, kind) for kind in kinds if kind not in APPROVALS]
    text = (told.get("License") or "").strip()
    if kinds:
        return " AND ".join(kinds)
    return SPELLINGS.get(text, text.partition("\n")[0])


def allowed(expression: str) -> bool:
    """Whether an expression leaves a choice of which every part is allowed."""
    if not expression:
        return False
    spelled = re.sub(r"\b(MIT|BSD)(?: License)\b", r"\1", expression)
    choices = re.sub(r"[()]", "", spelled)
    return all(
        any(part.strip() in PERMISSIVE | WEAK for part in every.split(" OR "))
        for every in choices.split(" AND ")
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
