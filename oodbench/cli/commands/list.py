"""`oodbench list`."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Literal

import click

from oodbench.base import registry
from oodbench.base.errors import InputError
from oodbench.base.text import printable
from oodbench.cli.options import results_option


@click.command("list")
@click.argument("kind", type=click.Choice([*registry.KINDS, "runs"]), required=False)
@results_option
def list_(kind: registry.Kind | Literal["runs"] | None, results: Path) -> None:
    """Lists plug-ins; with a kind, loads each and says what it is or what ails it.

    `runs` lists what is stored: failed cells, and stale ones with the reason.
    """
    if kind == "runs":
        _list_runs(results)
    elif kind is None:
        for each in registry.KINDS:
            click.echo(f"{each}:")
            _print([(one.name, _owner(one)) for one in registry.listings(each)])
    else:
        found = registry.listings(kind, loaded=True)
        _print([(one.name, one.fault or _described(kind, one)) for one in found])


def _list_runs(results: Path) -> None:
    from oodbench.results.stale import stale_cells
    from oodbench.results.store import Store
    from oodbench.scoring.spec import installed_sources

    sets = list(Store(results).sets())
    stale = {one.cell: one.why for one in stale_cells(sets, installed_sources())}
    for file in sets:
        record = file.read()
        if record is None:
            click.echo(f"{file.path}: damaged; it will be computed again.")
            continue
        cells = list(file.cells())
        names = (record[part]["name"] for part in ("model", "inside", "set"))
        model, inside, name = map(printable, names)
        click.echo(f"{model}, in {inside}, on {name}: {len(cells)} cells")
        for cell in cells:
            what = cell.read()
            if what is None:
                click.echo(f"  {cell.path.stem}: damaged; it will be computed again")
            elif cell in stale:
                label = printable(what["detector"]["label"])
                click.echo(f"  {label}: stale: {printable(stale[cell])}")
            elif "failure" in what:
                label = printable(what["detector"]["label"])
                click.echo(f"  {label}: failed: {printable(what['failure'])}")


def _print(lines: list[tuple[str, str]]) -> None:
    width = max((len(name) for name, _ in lines), default=0)
    for name, text in lines:
        click.echo(f"  {name:<{width}}  {text}".rstrip())


def _owner(one: registry.Listing) -> str:
    built_in = one.package == "oodbench"
    return one.fault or ("" if built_in else f"from {one.package}")


def _described(kind: registry.Kind, one: registry.Listing) -> str:
    try:
        text = inspect.getdoc(registry.load(kind, one.name)) or ""
    except InputError as error:
        return str(error)
    owner = _owner(one)
    return " ".join([text.partition("\n\n")[0].replace("\n", " "), owner]).strip()
