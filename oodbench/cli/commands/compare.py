"""`oodbench compare`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from oodbench.base.errors import InputError
from oodbench.cli import show
from oodbench.cli.options import results_argument, split_commas


@click.command()
@results_argument
@click.option(
    "--against",
    metavar="NAME",
    help="Detector to compare with.  [default: the best of each model and set]",
)
@click.option(
    "--over-seeds",
    is_flag=True,
    help="Compare over all models, which differ only in their seed.",
)
@click.option(
    "--group",
    "kinds",
    multiple=True,
    metavar="KIND=MODEL,…",
    help="Models of one kind, in the order of their seeds; give one or two kinds.",
)
@show.format_option
def compare(
    results: Path,
    against: str | None,
    over_seeds: bool,
    kinds: tuple[str, ...],
    format_: str | None,
) -> None:
    """Shows which detectors differ significantly.

    \b
    oodbench compare
    oodbench compare --against msp --format csv
    oodbench compare --over-seeds --group jem=jem-0,jem-1 --group ce=ce-0,ce-1
    """
    from oodbench.output import comparison

    found = comparison.comparisons(results, against, over_seeds, _kinds(kinds))
    if show.is_for_reading(format_):
        for one in found:
            head, rows = comparison.texts(one)
            show.print_listing(one.title, head, rows, one.notes, format_)
    else:
        notes = dict.fromkeys(note for one in found for note in one.notes)
        numbers = comparison.all_numbers(found)
        show.print_listing("", *numbers, list(notes), format_)


def _kinds(texts: Iterable[str]) -> dict[str, list[str]]:
    pairs = [text.partition("=") for text in texts]
    kinds = {kind: split_commas([members]) for kind, _, members in pairs}
    if len(kinds) < len(pairs) or not all(kind and kinds[kind] for kind in kinds):
        raise InputError(
            f"--group must be KIND=MODEL,MODEL with a kind of its own, not "
            f"{' '.join(texts)!r}."
        )
    return kinds
