"""Golden traces: what a run did, as Markdown for people to read, compared with the last good one.

    golden.check(run)                  # tests/golden/test_file/test_name.md
    pytest --qwenbelt-golden update             # writes what differs

What differs from run to run - times, ids, temporary paths - is replaced by its name.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from qwenbelt.core.files import write_text
from qwenbelt.core.secrets import mask_secrets
from qwenbelt.testing.checks.normalization import normalised_text
from qwenbelt.testing.checks.trajectory import MadeCall, Trajectory
from qwenbelt.testing.errors import CheckFailed

_MOST_DIFFERENCES = 60


def markdown(run: Trajectory, more: Iterable[tuple[str, str]] = ()) -> str:
    """Returns a run as Markdown, without what differs from run to run, and without keys.

    Calls of one reply are listed in the order in which the model wrote them.
    """
    return normalised_text(mask_secrets("\n".join(_markdown_lines(run))), more).rstrip() + "\n"


def _markdown_lines(run: Trajectory) -> Iterator[str]:
    yield f"# {run.asked.strip() or 'Run'}"
    for turn in range(1, run.turns + 1):
        calls = [call for call in run.calls if call.turn == turn]
        said = run.said.get(turn, "").strip()
        if turn == run.turns and said == run.answer.strip() and not calls:
            said = ""
        thought = run.thought.get(turn, "").strip()
        if not (calls or said or thought):
            continue
        yield from ("", f"## Turn {turn}")
        if thought:
            yield from ("", *(f"> {line}".rstrip() for line in thought.splitlines()))
        if said:
            yield from ("", said)
        for call in calls:
            yield from _call_lines(call)
    yield from ("", "## Answer", "", run.answer.strip())
    yield from ("", f"Ended: {run.reason or 'nothing'}; {run.turns} turns, {len(run.calls)} calls.")


def _call_lines(call: MadeCall) -> Iterator[str]:
    ending = "" if call.ending == "ok" else call.ending
    yield from ("", f"### {call.name}" + (f" ({ending})" if ending else ""), "")
    if call.arguments not in ({}, ""):
        yield from _arguments_text(call.arguments)
    if call.result is None:
        yield "No result."
        return
    fence = "`" * max(3, _longest_fence(call.result) + 1)
    yield from (f"{fence}text", *call.result.rstrip().splitlines(), fence)


def _arguments_text(arguments: Any) -> Iterator[str]:
    if not isinstance(arguments, dict):
        yield from (f"- {json.dumps(arguments, ensure_ascii=False)}", "")
        return
    for name, value in arguments.items():
        if isinstance(value, str) and "\n" in value:
            yield from (
                f"- {name}:",
                "",
                *(f"      {line}".rstrip() for line in value.splitlines()),
            )
        else:
            yield f"- {name}: {json.dumps(value, ensure_ascii=False, sort_keys=True)}"
    yield ""


def _longest_fence(text: str) -> int:
    runs = [len(line) - len(line.lstrip("`")) for line in text.splitlines()]
    return max((run for run in runs if run >= 3), default=2)


class Golden:
    """The golden file of a test.

    Args:
        path: the file.
        update: write what differs, and do not fail.
    """

    def __init__(self, path: Path, *, update: bool = False) -> None:
        self.path = path
        self.update = update
        self.used: list[Path] = []

    def check(
        self,
        run: Trajectory | str,
        name: str = "",
        *,
        ignore: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Compares a run, or any text, with its golden file.

        Args:
            run: what to compare.
            name: distinguishes several golden files of a test.
            ignore: further patterns that differ from run to run, and what replaces them.

        Raises:
            CheckFailed: the difference, or that there is no golden file yet.
        """
        path = self.path.with_name(f"{self.path.stem}-{name}.md") if name else self.path
        self.used.append(path)
        found = (
            normalised_text(mask_secrets(run), ignore)
            if isinstance(run, str)
            else markdown(run, ignore)
        )
        wanted = path.read_text(encoding="utf-8") if path.exists() else None
        if wanted == found:
            return
        if self.update:
            write_text(path, found)
            return
        if wanted is None:
            raise CheckFailed(f"{path} does not exist yet; write it by `--qwenbelt-golden update`.")
        raise CheckFailed(_unified_difference(path, wanted, found))


def _unified_difference(path: Path, wanted: str, found: str) -> str:
    lines = list(
        difflib.unified_diff(
            wanted.splitlines(),
            found.splitlines(),
            f"{path.name} (golden)",
            "this run",
            lineterm="",
        )
    )
    if len(lines) > _MOST_DIFFERENCES:
        rest = len(lines) - _MOST_DIFFERENCES
        lines = [*lines[:_MOST_DIFFERENCES], f"… {rest} more lines"]
    head = f"The run differs from {path}; if that is meant, run with `--qwenbelt-golden update`."
    return "\n".join([head, *lines])
