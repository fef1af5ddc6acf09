"""The options that make a command fail where a number breaks its limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oodbench.base.text import printable

if TYPE_CHECKING:
    from oodbench.results.exchange.gates import Gate
    from oodbench.results.rows import Measured


def _gates(_: click.Context, __: click.Parameter, texts: Sequence[str]) -> list[Gate]:
    from oodbench.results.exchange.gates import parse

    return [parse(text) for text in texts]


def gate_options(command: Callable[..., Sequence[Measured]]) -> Callable[..., None]:
    """Adds the options; the command returns the numbers that they are about."""

    @wraps(command)
    def wrapped(*, fail_under: list[Gate], junit: Path | None, **others: Any) -> None:
        measured = command(**others)
        if not _are_kept(fail_under, measured, junit):
            raise SystemExit(1)

    for option in (_JUNIT, _FAIL_UNDER):
        wrapped = option(wrapped)
    return wrapped


_FAIL_UNDER = click.option(
    "--fail-under",
    multiple=True,
    callback=_gates,
    metavar="DETECTOR[@SET]:METRIC=BOUND",
    help="Exit with 1 if the metric is worse on a near, far or unstated set, or on the "
    "one that is named.",
)
_JUNIT = click.option(
    "--junit",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JUnit file of the outcomes of --fail-under.",
)


def _are_kept(
    gates: Sequence[Gate], measured: Sequence[Measured], file: Path | None
) -> bool:
    """Prints the gates that are broken, and writes all to a file."""
    from oodbench.base.files import write_atomically
    from oodbench.results.exchange.gates import judge, junit

    verdicts = judge(gates, measured)
    if file is not None:
        write_atomically(file, junit(verdicts))
    broken = [one for one in verdicts if one.fault]
    for one in broken:
        text = f"Failed: {one.model}: {one.what}, but {one.fault}."
        click.echo(printable(text), err=True)
    return not broken
