"""`oodbench list`."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Literal

import click

from oodbench.base import registry
from oodbench.base.errors import InputError
from oodbench.base.files import Record
from oodbench.base.text import printable
from oodbench.cli.options import results_option
from oodbench.protocols import protocol

OTHERS = ("runs", "benchmarks")


@click.command("list")
@click.argument("kind", type=click.Choice([*registry.KINDS, *OTHERS]), required=False)
@results_option
def list_(
    kind: registry.Kind | Literal["runs", "benchmarks"] | None, results: Path
) -> None:
    """Lists plug-ins; with a kind, loads each and shows what it is or its fault.

    `datasets` also shows the licence of each set and whether its files are present.
    `runs` lists stored results: failed, damaged and stale scores with the reason.
    `benchmarks` lists what --benchmark takes.
    """
    if kind == "runs":
        _list_runs(results)
    elif kind == "benchmarks":
        _print([(name, protocol.read(name).title) for name in protocol.names()])
    elif kind is None:
        for each in registry.KINDS:
            click.echo(f"{each}:")
            _print([(one.name, _owner(one)) for one in registry.listings(each)])
    else:
        found = registry.listings(kind, loaded=True)
        _print([(one.name, one.fault or _described(kind, one)) for one in found])


def _list_runs(results: Path) -> None:
    from oodbench.results.pair import DistrustedError
    from oodbench.results.stale import stale_among
    from oodbench.results.store import CellFile, SetFile, Store
    from oodbench.scoring.spec import installed_sources

    def look(file: SetFile | CellFile) -> tuple[Record | None, str]:
        """Returns the record, or the reason why there is none."""
        try:
            found = file.load()
        except DistrustedError as error:
            return None, str(error)
        return (None, f"{file.path} is gone.") if found is None else (found.record, "")

    sets = {file: look(file) for file in Store(results).sets()}
    cells = {file: {cell: look(cell) for cell in file.cells()} for file in sets}
    read = [(f, c, record) for f in sets for c, (record, _) in cells[f].items()]
    stale = {one.cell: one.why for one in stale_among(read, installed_sources())}
    for file, (record, why) in sets.items():
        if record is None:
            click.echo(printable(why))
            continue
        names = (record[part].get("name") for part in ("model", "inside", "set"))
        model, inside, name = (printable(str(each)) for each in names)
        click.echo(f"{model}, in {inside}, on {name}: {len(cells[file])} cells")
        for cell, (what, why) in cells[file].items():
            if text := why or _state(what or {}, stale.get(cell)):
                click.echo(f"  {printable(text)}")


def _state(record: Record, stale: str | None) -> str:
    """Returns what is to be said of a cell; empty for one that is as it should be."""
    label = record["detector"].get("label", "")
    if stale is not None:
        return f"{label}: stale: {stale}"
    return f"{label}: failed: {record['failure']}" if "failure" in record else ""


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
    words = [text.partition("\n\n")[0].replace("\n", " "), _owner(one)]
    if kind == "datasets":
        words.append(_files(one.name))
    return " ".join(words).strip()


def _files(name: str) -> str:
    """Returns licence and presence of a data set that has files to fetch."""
    from oodbench.data.sources.presence import presence
    from oodbench.data.spec import open_dataset

    try:
        origin = open_dataset(name).origin
    except InputError:  # it needs an argument
        return ""
    return f"[licence {origin.licence}; {presence(origin)}]" if origin else ""
