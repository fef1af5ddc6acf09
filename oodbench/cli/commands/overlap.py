"""`oodbench overlap`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from oodbench.base.progress import Progress
from oodbench.cli import show
from oodbench.cli.options import set_list

if TYPE_CHECKING:
    from oodbench.data.overlap import Overlap, Pair

SHOWN = 5
"""Pairs that are listed of each two sets."""


@click.command()
@click.argument("inside", metavar="IN")
@click.argument("out", metavar="OUT…", nargs=-1, required=True, callback=set_list)
@click.option(
    "--near",
    is_flag=True,
    help="Also find near-duplicates: grey 16x16 thumbnails with a correlation of at "
    "least 0.98.",
)
@show.output_options
def overlap(inside: str, out: list[str], near: bool, output: show.Output) -> None:
    """Counts the images that data sets share, and lists the first ones.

    Exact duplicates have equal pixels, size and type, before they are adapted to a
    network. All splits of IN are compared with the test split of OUT, and those for
    fitting with its own test split. Images are numbered from 0, as in rows:0-9:SET.

    \b
    oodbench overlap cifar10 cifar100,svhn
    oodbench overlap cifar10 folder:photos --near
    """
    from oodbench.data.overlap import overlap as find

    with Progress() as progress:
        found = find(inside, out, near=near, watch=progress)
    head = ["set", "compared with", "images", "exact", *(["near"] if near else [])]
    rows: list[list[object]] = [
        [one.second, one.first, one.images, len(one.exact)]
        + ([] if one.near is None else [len(one.near)])
        for one in found
    ]
    if output.is_for_reading:
        rows = [[str(value) for value in row] for row in rows]
    notes = [note for one in found for note in _notes(one)]
    output.listing("Images in two sets", head, rows, notes)


def _notes(found: Overlap) -> Iterator[str]:
    yield from _first(found, found.exact, "is")
    yield from _first(found, found.near or [], "is nearly")


def _first(found: Overlap, pairs: list[Pair], word: str) -> Iterator[str]:
    for first, second in pairs[:SHOWN]:
        yield f"image {second} of {found.second} {word} image {first} of {found.first}"
    if len(pairs) > SHOWN:
        yield f"and {len(pairs) - SHOWN} more of {found.second}"
