"""`oodbench fetch`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

import click

from oodbench.base.errors import InputError
from oodbench.base.progress import Progress
from oodbench.base.text import printable
from oodbench.data.dataset import SplitName
from oodbench.data.sources.source import Source


@click.command()
@click.argument("sets", nargs=-1)
@click.option(
    "--all-of",
    "benchmarks",
    multiple=True,
    metavar="NAME or FILE.toml",
    help="All sets of a benchmark, those to choose settings on included.",
)
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
@click.option(
    "--dry-run",
    is_flag=True,
    help="Only list the files, how large they are, and which are there.",
)
def fetch(
    sets: Sequence[str],
    benchmarks: Sequence[str],
    split: SplitName | None,
    offline: bool,
    dry_run: bool,
) -> None:
    """Downloads, checks and unpacks data sets.

    \b
    oodbench fetch cifar10 svhn
    oodbench fetch --split test cifar10 svhn
    oodbench fetch --all-of openood-cifar10 --dry-run

    Files lie in $OODBENCH_DATA; those that are there are only checked. A download that
    broke off continues. After an error the other sets are still fetched, and the
    command exits with 3.
    """
    from oodbench.data.sources.fetch import fetch as fetch_files
    from oodbench.data.sources.fetch import needed

    named = dict.fromkeys([*sets, *_of_benchmarks(benchmarks)])
    if not named and not benchmarks:
        raise InputError("Name a data set, or a benchmark by --all-of.")
    failed, files = False, dict[Source, None]()
    with Progress():
        for each in named:
            try:
                if dry_run:
                    files |= dict.fromkeys(needed(each, split))
                else:
                    found = fetch_files([each], split, offline=offline)
                    click.echo(printable(f"{each}: {', '.join(map(str, found))}"))
            except InputError as error:
                failed = True
                click.echo(f"Error: {printable(f'{each}: {error}')}", err=True)
        for line in _listing(list(files), offline):
            click.echo(line)
    raise SystemExit(3 if failed else 0)


def _of_benchmarks(names: Sequence[str]) -> Iterator[str]:
    """Yields the sets of benchmarks, without those that are made without files."""
    from oodbench.benchmarks.benchmark import read
    from oodbench.data.sources.fetch import origin_of
    from oodbench.data.spec import open_dataset

    for name in names:
        found = read(name)
        members = [each.spec for each in (found.inside, *found.outside)]
        for spec in [*members, *found.validation]:
            try:
                if origin_of(open_dataset(spec)) is None:
                    continue
            except InputError:
                pass  # said where it is fetched
            yield spec


def _listing(files: Sequence[Source], offline: bool) -> Iterator[str]:
    """Yields a line for each file, and one on what is absent."""
    from oodbench.data.sources.download import size_at
    from oodbench.data.sources.fetch import is_offline
    from oodbench.data.sources.presence import is_present, size

    asks = not (offline or is_offline())
    absent: list[int | None] = []
    for source in files:
        there, length = is_present(source), size(source)
        if not there:
            if length is None and source.urls and asks:
                length = size_at(source.urls[0])
            absent.append(length)
        text = "size unknown" if length is None else _megabytes(length)
        yield f"{source.file}: {text}, {'present' if there else 'absent'}"
    if files:
        total = _megabytes(sum(length or 0 for length in absent))
        unknown = f" and {absent.count(None)} of unknown size" * (None in absent)
        yield f"{len(absent)} of {len(files)} files are absent: {total}{unknown}."


def _megabytes(length: int) -> str:
    return f"{length / 1e6:,.1f} MB"
