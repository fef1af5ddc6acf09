"""`oodbench check`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("kind", type=click.Choice(["detector", "dataset", "results"]))
@click.argument("name", metavar="NAME_OR_FOLDER")
def check(kind: str, name: str) -> None:
    """Checks a plug-in or stored results; exits with 1 on a fault.

    A plug-in gets the checks of oodbench.testing. Of results, hashes, keys, labels and
    metrics are computed again; the folder may hold those of several people.

    \b
    oodbench check detector energy:temperature=2
    oodbench check dataset digits:0-7
    oodbench check results leaderboard
    """
    is_sound = _check_results(Path(name)) if kind == "results" else _check(kind, name)
    raise SystemExit(int(not is_sound))


def _check(kind: str, name: str) -> bool:
    """Prints the outcome of each check of a plug-in; returns whether all passed."""
    from oodbench import testing

    checks = testing.DETECTOR_CHECKS if kind == "detector" else testing.DATASET_CHECKS
    is_sound = True
    for one in checks:
        what = (one.__doc__ or "").splitlines()[0]
        try:
            one(name)
            click.echo(f"ok     {what}")
        except AssertionError as error:
            is_sound = False
            click.echo(f"fault  {what}\n       {error}")
    return is_sound


def _check_results(folder: Path) -> bool:
    """Prints what is wrong with some results; returns whether nothing is."""
    from oodbench.base.text import printable
    from oodbench.results.exchange.validate import check_results, entries

    is_sound = True
    for name, place in entries(folder).items():
        found = check_results(place)
        for one in found:
            level = "fault " if one.is_fault else "remark"
            click.echo(printable(f"{level} {name}: {one.place}: {one.text}"))
        if any(one.is_fault for one in found):
            is_sound = False
        else:
            click.echo(f"ok     {printable(name)}")
    return is_sound
