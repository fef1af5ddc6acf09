"""`oodbench check`."""

from __future__ import annotations

import click


@click.command()
@click.argument("kind", type=click.Choice(["detector", "dataset"]))
@click.argument("name")
def check(kind: str, name: str) -> None:
    """Runs the checks of oodbench.testing on a plug-in; exits with 1 if one fails.

    \b
    oodbench check detector energy:temperature=2
    oodbench check dataset digits:0-7
    """
    from oodbench import testing

    checks = testing.DETECTOR_CHECKS if kind == "detector" else testing.DATASET_CHECKS
    failed = False
    for one in checks:
        what = (one.__doc__ or "").splitlines()[0]
        try:
            one(name)
            click.echo(f"ok     {what}")
        except AssertionError as error:
            failed = True
            click.echo(f"fault  {what}\n       {error}")
    raise SystemExit(int(failed))
