"""The options of commands about benchmarks, and their tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from oodbench.base.errors import InputError
from oodbench.benchmarks.benchmark import Benchmark, read
from oodbench.cli import show
from oodbench.cli.study import defaults

if TYPE_CHECKING:
    from oodbench.results.opened import Results

FREE = {"results", "models", "detectors", "benchmark", "format_", "file"}
FREE |= {"quiet", "verbose"}
"""Parameters of a table that a benchmark leaves to the user."""


def _defaults(
    context: click.Context, _: click.Parameter, name: str | None
) -> str | None:
    """Takes the other options of a benchmark where neither user nor study sets them."""
    if name is not None:
        found = defaults(context.command, read(name).others, name)
        context.default_map = {**found, **(context.default_map or {})}
    return name


def _benchmark(
    callback: Callable[..., Any] | None = None, *, required: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        "--benchmark",
        is_eager=True,
        required=required,
        callback=callback,
        metavar="NAME or FILE.toml",
        help="The sets and rules of a benchmark: a name of `oodbench list benchmarks`.",
    )


run_option = _benchmark(_defaults)
required_option = _benchmark(required=True)
set_option = click.option(
    "--set",
    "replaced",
    multiple=True,
    metavar="LABEL=SET",
    help="Another set in place of one of the benchmark, as in svhn=npz:svhn.npz.",
)


def table_option(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the benchmark of a table, which leaves no other choice but models."""

    @_benchmark()
    @click.pass_context
    @wraps(command)
    def wrapped(
        context: click.Context, /, benchmark: str | None, **others: Any
    ) -> None:
        if benchmark is not None:
            known = {one.name or "" for one in context.command.params}
            check_free(context, benchmark, *(known - FREE))
        command(benchmark=benchmark, **others)

    return wrapped


def chosen(
    context: click.Context, name: str | None, replaced: Sequence[str]
) -> Benchmark | None:
    """Returns the benchmark of a run, whose sets the user must not name.

    Raises:
        InputError: There is no such benchmark, or options contradict each other.
    """
    if name is None:
        if replaced:
            raise InputError("--set is for a --benchmark, and there is none.")
        return None
    check_free(context, name, "inside", "out")
    return read(name, replaced)


def check_free(context: click.Context, name: str, *parameters: str) -> None:
    """Checks that the user does not set what a benchmark fixes.

    Raises:
        InputError: An option of one of the parameters is given.
    """
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name in parameters and source != ParameterSource.DEFAULT:
            raise InputError(
                f"The benchmark {name} has its own sets and rules: leave "
                f"{option.opts[0]} out; `oodbench run --set LABEL=SET` takes another "
                "set in place of one."
            )


def print_tables(benchmark: Benchmark, results: Results, output: show.Output) -> None:
    """Prints a table of each metric of a benchmark, or in csv and json all figures."""
    from oodbench.benchmarks.layout import all_figures, listings
    from oodbench.benchmarks.stored import outcome

    found = outcome(benchmark, results.groups)
    if output.is_for_reading:
        for one in listings(found):
            output.listing(one.title, one.head, one.rows, one.notes)
    else:
        output.listing("", *all_figures(found), found.notes())
