"""`oodbench fetch`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import click

from oodbench.base.errors import InputError
from oodbench.base.progress import Progress
from oodbench.base.text import printable
from oodbench.data.dataset import SplitName


@click.command()
@click.argument("sets", nargs=-1, required=True)
@click.option(
    "--split",
    type=click.Choice(get_args(SplitName)),
    help="Take only what this split needs.  [default: all splits]",
)
@click.option(
    "--offline",
    is_flag=True,
    help="Download nothing; check what is there and say which file to put where.",
)
def fetch(sets: Sequence[str], split: SplitName | None, offline: bool) -> None:
    """Downloads, checks and unpacks data sets.

    \b
    oodbench fetch cifar10 svhn
    oodbench fetch --split test cifar10 svhn

    Files lie in $OODBENCH_DATA. Files that are already there are only checked. An
    interrupted download continues. After an error the other sets are still fetched, and
    the command exits with 3.
    """
    from oodbench.data.sources.fetch import fetch as fetch_files

    failed = False
    with Progress():
        for each in sets:
            try:
                found = fetch_files([each], split, offline=offline)
                click.echo(printable(f"{each}: {', '.join(map(str, found))}"))
            except InputError as error:
                failed = True
                click.echo(
                    f"Error: {printable(each)}: {printable(str(error))}", err=True
                )
    raise SystemExit(3 if failed else 0)
