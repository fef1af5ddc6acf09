"""`oodbench list`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import click

from oodbench.base import registry
from oodbench.base.errors import InputError
from oodbench.base.files import Record
from oodbench.base.text import printable
from oodbench.benchmarks import benchmark
from oodbench.cli import show
from oodbench.cli.options import results_option

OTHERS = ("runs", "benchmarks")
Listed: TypeAlias = registry.Kind | Literal["runs", "benchmarks"]


@click.command("list")
@click.argument("kind", type=click.Choice([*registry.KINDS, *OTHERS]), required=False)
@click.argument("name", required=False)
@results_option
@show.json_option
def list_(
    kind: Listed | None,
    name: str | None,
    results: Path,
    as_json: bool,
) -> None:
    """Lists plug-ins, or describes those of one kind, or one of them.

    With a kind, each plug-in is loaded; the list shows what it is, or its fault. With
    the name of a detector, its defaults are shown, and on which images its authors
    chose them.

    \b
    oodbench list detectors
    oodbench list detectors odin
    oodbench list runs

    `datasets` also shows the licence of each set and whether its files are present.
    `runs` lists stored results: failed, damaged and stale scores with the reason.
    `benchmarks` lists what --benchmark takes.
    """
    if name is not None and kind in OTHERS:
        raise click.UsageError(f"`oodbench list {kind}` takes no name.")
    found = _found(kind, name, results)
    if as_json:
        show.print_json(found)
    elif name is not None:
        _print_described(found)
    elif kind == "runs":
        _print_runs(found)
    elif kind == "benchmarks":
        _print(found)
    else:
        for each, plugins in found.items():
            if kind is None:
                click.echo(f"{each}:")
            _print_plugins(plugins)


def _found(kind: Listed | None, name: str | None, results: Path) -> Any:
    """Returns what to list, in the form that --json prints."""
    if kind == "runs":
        return list(_runs(results))
    if kind == "benchmarks":
        return {each: benchmark.read(each).title for each in benchmark.names()}
    if kind is not None and name is not None:
        return _described(kind, name)
    return _plugins(kind)


def _plugins(kind: registry.Kind | None) -> dict[str, list[Record]]:
    """Returns the plug-ins of one kind, loaded, or of all kinds."""
    return {
        each: [
            {
                "name": one.name,
                "package": one.package,
                "fault": one.fault,
                "about": _about(each, one.name) if kind and not one.fault else "",
                "files": _files(one.name)
                if kind == "datasets" and not one.fault
                else "",
            }
            for one in registry.listings(each, loaded=kind is not None)
        ]
        for each in ([kind] if kind else registry.KINDS)
    }


def _described(kind: registry.Kind, name: str) -> Record:
    """Returns the documentation of one plug-in, and a detector's parameters."""
    about = inspect.getdoc(registry.load(kind, name)) or ""
    found: Record = {"name": name, "about": about}
    if kind == "detectors":
        from oodbench.scoring.spec import open_detector

        entry = open_detector(name)
        found["fitted_on"] = entry.detector.fitted_on
        found["parameters"] = {
            parameter: {
                "default": value,
                "chosen_on": entry.detector.chosen_on.get(parameter),
            }
            for parameter, value in entry.parameters.items()
        }
    return found


def _print_described(found: Record) -> None:
    click.echo(found["about"])
    if "parameters" not in found:
        return
    click.echo(f"\nFitted on: {found['fitted_on'] or 'nothing'}.")
    if found["parameters"]:
        click.echo("Parameters, their defaults, and the images these were chosen on:")
    _print(
        {
            f"{name}={one['default']}": one["chosen_on"] or "not stated"
            for name, one in found["parameters"].items()
        }
    )


def _print_plugins(found: Sequence[Record]) -> None:
    texts = {}
    for one in found:
        built_in = one["package"] == "oodbench"
        owner = "" if built_in else f"from {one['package']}"
        words = [one["about"], owner, f"[{one['files']}]" if one["files"] else ""]
        texts[one["name"]] = one["fault"] or " ".join(filter(None, words))
    _print(texts)


def _print(texts: Mapping[str, str]) -> None:
    width = max(map(len, texts), default=0)
    for name, text in texts.items():
        click.echo(f"  {name:<{width}}  {text}".rstrip())


def _runs(results: Path) -> Iterator[Record]:
    """Yields what is stored of each model and set."""
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
            yield {"fault": why}
            continue
        names = {part: record[part].get("name") for part in ("model", "inside", "set")}
        faults = [
            text
            for cell, (what, fault) in cells[file].items()
            if (text := fault or _state(what or {}, stale.get(cell)))
        ]
        yield {**names, "cells": len(cells[file]), "faults": faults}


def _print_runs(runs: Iterable[Record]) -> None:
    for one in runs:
        if "fault" in one:
            click.echo(printable(one["fault"]))
            continue
        names = (one[part] for part in ("model", "inside", "set"))
        model, inside, name = (printable(str(each)) for each in names)
        click.echo(f"{model}, in {inside}, on {name}: {one['cells']} cells")
        for fault in one["faults"]:
            click.echo(f"  {printable(fault)}")


def _state(record: Record, stale: str | None) -> str:
    """Returns what is to be said of a cell; empty for one that is as it should be."""
    label = record["detector"].get("label", "")
    if stale is not None:
        return f"{label}: stale: {stale}"
    return f"{label}: failed: {record['failure']}" if "failure" in record else ""


def _about(kind: registry.Kind, name: str) -> str:
    """Returns what a plug-in says of itself, or why it cannot be loaded."""
    try:
        text = inspect.getdoc(registry.load(kind, name)) or ""
    except InputError as error:
        return str(error)
    return text.partition("\n\n")[0].replace("\n", " ")


def _files(name: str) -> str:
    """Returns licence and presence of a data set that has files to fetch."""
    from oodbench.data.sources.presence import presence
    from oodbench.data.spec import open_dataset

    try:
        origin = open_dataset(name).origin
    except InputError:  # it needs an argument
        return ""
    return f"licence {origin.licence}; {presence(origin)}" if origin else ""
