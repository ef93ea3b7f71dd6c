"""`qwenbelt doctor`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from qwenbelt.apps.echo import echo
from qwenbelt.apps.strings import counted, explain_error, say
from qwenbelt.core.errors import EXIT_FAILED, EXIT_OK
from qwenbelt.core.terminal import terminal_json

if TYPE_CHECKING:
    from qwenbelt.apps.doctor import DoctorFinding


@click.command()
@click.option("--probe", is_flag=True, help="Try out the endpoint in use and each local server.")
@click.option("-e", "--endpoint", metavar="SPEC", help="Try out this endpoint only.")
@click.option("--fix", is_flag=True, help="Do what can be done about it, each after asking.")
@click.option("--yes", is_flag=True, help="With --fix: do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(probe: bool, endpoint: str | None, fix: bool, yes: bool, as_json: bool) -> int:
    """Say what works here, and the one command that fixes what does not.

    Trying out an endpoint takes about ten short requests; what they show is kept and used from then
    on. Exit code 1 when something that the main job needs does not work.
    """
    from itertools import chain

    from qwenbelt.apps.doctor import probed_endpoints, run_checks

    sources = [] if endpoint else [run_checks()]
    if probe or endpoint:
        sources.append(probed_endpoints(endpoint))
    findings: list[DoctorFinding] = []
    for finding in chain(*sources):
        findings.append(finding)
        if not as_json:
            _print(finding)
    if fix:
        from qwenbelt.apps.mending import fix_findings

        findings = fix_findings(findings, yes=yes, quiet=as_json)
    failed = [finding for finding in findings if not finding.ok and finding.needed]
    if as_json:
        checks = [finding.to_dict() for finding in findings]
        echo(terminal_json(json.dumps({"checks": checks}, ensure_ascii=False, indent=2)))
    else:
        missing = sum(not finding.ok for finding in findings) - len(failed)
        key = "doctor_failed" if failed else "doctor_well"
        amounts = {
            "failed": counted(len(failed), "needed part"),
            "missing": counted(missing, "optional part"),
        }
        echo("\n" + say(key, **amounts))
    return EXIT_FAILED if failed else EXIT_OK


def _print(finding: DoctorFinding) -> None:
    mark, colour = ("ok", "green") if finding.ok else ("--", "yellow")
    if finding.needed and not finding.ok:
        mark, colour = "NO", "red"
    echo(f"{click.style(mark, colour)}  {finding.name:<14} {explain_error(finding.detail)}")
    if finding.fix:
        echo(f"{'':<19}{click.style('->', colour)} {explain_error(finding.fix)}")
