"""`oodbench compare`."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oodbench.base.errors import InputError
from oodbench.cli.commands.table import WIDE
from oodbench.cli.options import results_argument, split_commas

if TYPE_CHECKING:
    from oodbench.metrics.significance import Seeds
    from oodbench.results.comparisons import Comparison, Line
    from oodbench.results.rows import Group


@click.command()
@results_argument
@click.option(
    "--against",
    "named",
    metavar="NAME",
    help="Detector to compare with.  [default: the best of each model and set]",
)
@click.option(
    "--over-seeds",
    is_flag=True,
    help="Take all models for one kind that differ in the seed alone.",
)
@click.option(
    "--group",
    "kinds",
    multiple=True,
    metavar="KIND=MODEL,…",
    help="Models of one kind, in the order of their seeds; give one or two kinds.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["terminal", "markdown", "csv"]),
    help="[default: terminal on a terminal, else markdown]",
)
def compare(
    results: Path,
    named: str | None,
    over_seeds: bool,
    kinds: tuple[str, ...],
    format_: str | None,
) -> None:
    """Says which detectors differ by more than chance.

    \b
    oodbench compare
    oodbench compare --against msp --format csv
    oodbench compare --over-seeds --group jem=jem-0,jem-1 --group ce=ce-0,ce-1
    """
    from oodbench.results import rows as measures
    from oodbench.results.store import Store

    groups = measures.groups(Store(results).sets())
    if not groups:
        raise InputError(f"There are no finished results in {results}.")
    _check_detector(groups, named)
    found = []
    for _, members in groupby(groups, key=lambda group: group.inside["set"]["key"]):
        together = list(members)
        if kinds or over_seeds:
            found += _over_seeds(together, _kinds(kinds), named)
        else:
            found += _by_model(together, named)
    if not found:
        raise InputError(
            f"No in-distribution set in {results} has all of these models: "
            f"{', '.join(kinds)}."
        )
    format_ = format_ or ("terminal" if sys.stdout.isatty() else "markdown")
    if format_ == "csv":
        click.echo(_csv(found), nl=False)
        return
    for one in found:
        _print(one, format_ == "markdown")


def _by_model(groups: Iterable[Group], named: str | None) -> list[Comparison]:
    from oodbench.results.comparisons import of_model

    return [of_model(group, named) for group in groups]


def _over_seeds(
    groups: Sequence[Group], kinds: Mapping[str, list[str]], named: str | None
) -> list[Comparison]:
    from oodbench.results.comparisons import of_kinds, of_seeds

    models = {group.model: group for group in groups}
    if not kinds:
        return [of_seeds("all models", groups, named)]
    if any(model not in models for members in kinds.values() for model in members):
        return []
    chosen = {k: [models[model] for model in members] for k, members in kinds.items()}
    if len(chosen) == 1:
        return [of_seeds(kind, members, named) for kind, members in chosen.items()]
    if named is not None:
        raise InputError(
            "--against is for detectors of one kind of models; leave it out, or give "
            "one --group."
        )
    return [of_kinds(chosen)]


def _kinds(texts: Iterable[str]) -> dict[str, list[str]]:
    pairs = [text.partition("=") for text in texts]
    kinds = {kind: split_commas([members]) for kind, _, members in pairs}
    if len(kinds) < len(pairs) or not all(kind and kinds[kind] for kind in kinds):
        raise InputError(
            f"--group must be KIND=MODEL,MODEL with a kind of its own, not "
            f"{' '.join(texts)!r}."
        )
    if len(kinds) > 2:
        raise InputError(f"Two kinds can be compared, not {len(kinds)}.")
    return kinds


def _check_detector(groups: Iterable[Group], named: str | None) -> None:
    from oodbench.base.registry import unknown

    labels = sorted({label for group in groups for label in group.cells})
    if named is not None and named not in labels:
        raise InputError(unknown("detector in these results", named, labels))


def _print(one: Comparison, in_markdown: bool) -> None:
    of = [""] if len(one.names) == 1 else [f" of {name}" for name in one.names]
    head = ["set", "detector", *(f"AUROC{name} %" for name in of)]
    head += ["difference", "95 % interval", "p"]
    rows = list(map(_texts, one.lines))
    if in_markdown:
        from oodbench.output.formats.markdown import escape, listing

        notes = "".join(f"- {escape(note)}\n" for note in one.notes)
        click.echo(f"{escape(one.title)}\n\n{listing(head, rows)}\n{notes}")
    else:
        from rich.console import Console

        from oodbench.base.text import printable
        from oodbench.output.formats import terminal

        console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)
        click.echo(printable(one.title))
        console.print(terminal.listing(head, rows))
        click.echo("".join(f"  {printable(note)}\n" for note in one.notes))


def _texts(line: Line) -> list[str]:
    values = [_with_deviation(value) for value in line.values]
    if line.contrast is None:
        return [line.outside, line.detector, *values, "", "", ""]
    apart = line.contrast.difference
    low, high = (_signed(end, 1) for end in (apart.low, apart.high))
    p = line.contrast.corrected
    return [
        line.outside,
        line.detector,
        *values,
        _signed(apart.value, 2),
        f"{low} to {high}",
        "<0.001" if p < 0.001 else f"{p:.3f}",
    ]


def _with_deviation(value: Seeds) -> str:
    mean = f"{100 * value.mean:.2f}"
    if math.isnan(value.deviation):
        return mean
    return f"{mean} ± {100 * value.deviation:.2f}"


def _signed(value: float, digits: int) -> str:
    return f"{100 * value:+.{digits}f}".replace("-", "−")


def _csv(found: Iterable[Comparison]) -> str:
    from oodbench.output.formats.csv import escape

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    head = "inside model outside detector auroc deviation other_auroc other_deviation"
    writer.writerow(
        [*head.split(), "against", "difference", "low", "high", "p", "holm"]
    )
    for one in found:
        for line in one.lines:
            names = one.inside, one.names[0], line.outside, line.detector
            numbers = [number for value in line.values for number in value]
            texts = ["" if math.isnan(number) else str(number) for number in numbers]
            row = [*map(escape, names), *texts, *[""] * (4 - len(texts))]
            if line.contrast is not None:
                apart = [*line.contrast.difference, line.contrast.corrected]
                row += [escape(line.contrast.against), *map(str, apart)]
            writer.writerow(row)
    return buffer.getvalue()
