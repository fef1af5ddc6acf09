"""`oodbench doctor`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from oodbench.base.text import printable
from oodbench.cli.options import results_option


@click.command()
@results_option
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(results: Path, as_json: bool) -> None:
    """Checks the installation and says what to do about each fault.

    It checks libraries, devices, threads, folders, data sets and plug-ins, and
    downloads nothing. It exits with 1 if there is a fault. The home folder is printed
    as ~.
    """
    from oodbench.cli.examine import examine

    findings = []
    for finding in examine(results):
        findings.append(finding)
        if not as_json:
            text = printable(finding.text)
            click.echo(f"{finding.level:<8} {finding.topic:<10} {text}")
            if finding.fix:
                click.echo(f"{'':<19} {printable(finding.fix)}")
    if as_json:
        click.echo(json.dumps([finding._asdict() for finding in findings], indent=1))
    raise SystemExit(int(any(one.level == "fault" for one in findings)))
