"""`qwenbelt doctor --fix`: does what a finding says, after asking.

Only installations are done: what asks for a key, a service or a setting needs a person.
"""

from __future__ import annotations

import importlib
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

import click

from qwenbelt.apps.doctor import DoctorFinding
from qwenbelt.apps.echo import echo
from qwenbelt.apps.strings import explain_error
from qwenbelt.core.errors import one_line
from qwenbelt.core.texts import Texts

_SECONDS = 1800
say = Texts(
    {
        "ask": ("Run this?  {command}", "是否运行？  {command}"),
        "nothing": ("Nothing here can be installed.", "没有可以安装的内容。"),
        "by_hand": ("{name}: by hand: {fix}", "{name}：需手动处理：{fix}"),
        "left": ("{name}: left as it is.", "{name}：保持原样。"),
        "done": ("{name}: done.", "{name}：已完成。"),
        "failed": ("{name}: {command} failed: {reason}", "{name}：{command} 失败：{reason}"),
    }
)


def fix_findings(
    findings: Sequence[DoctorFinding], *, yes: bool, quiet: bool
) -> list[DoctorFinding]:
    """Returns the findings as they are after what was agreed to was done.

    Args:
        findings: what the doctor found.
        yes: do not ask.
        quiet: say nothing; then nothing is asked and only `yes` does anything.
    """
    open_ones = [finding for finding in findings if not finding.ok and finding.fix]
    if not quiet and not any(install_command(finding.fix) for finding in open_ones):
        echo("\n" + say.for_user("nothing"))
    return [_fixed_finding(f, yes=yes, quiet=quiet) if f in open_ones else f for f in findings]


def install_command(fix: str) -> list[str]:
    """Returns the words behind `pip` of a fix that is one installation, or nothing."""
    first = fix.partition(", or ")[0].rstrip(".")
    try:
        words = shlex.split(first)
    except ValueError:
        return []
    plain = words[:2] == ["pip", "install"] and not any(w.startswith("-") for w in words)
    return words[1:] if plain and len(words) > 2 else []


def _fixed_finding(finding: DoctorFinding, *, yes: bool, quiet: bool) -> DoctorFinding:
    words = install_command(finding.fix)
    if not words:
        if not quiet:
            echo(say.for_user("by_hand", name=finding.name, fix=explain_error(finding.fix)))
        return finding
    command = shlex.join(["pip", *words])
    agreed = yes or (not quiet and click.confirm(say.for_user("ask", command=command), err=True))
    if not agreed:
        if not quiet:
            echo(say.for_user("left", name=finding.name))
        return finding
    reason = _pip_install(words)
    key = "failed" if reason else "done"
    if not quiet:
        echo(say.for_user(key, name=finding.name, command=command, reason=reason))
    return finding if reason else replace(finding, ok=True, fix="")


def _pip_install(words: Sequence[str]) -> str:
    """Installs into the Python that runs, and returns why that failed or an empty text."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip", *words],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return one_line(error, 200)
    importlib.invalidate_caches()
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return one_line(lines[-1] if lines else f"exit code {done.returncode}", 300)
