"""`oodbench list`."""

from __future__ import annotations

import inspect

import click

from oodbench import registry
from oodbench.errors import InputError


@click.command("list")
@click.argument("kind", type=click.Choice(registry.KINDS), required=False)
def list_(kind: registry.Kind | None) -> None:
    """Lists plug-ins; with a kind, loads each and says what it is or what ails it."""
    if kind is None:
        for each in registry.KINDS:
            click.echo(f"{each}:")
            _print([(one.name, _owner(one)) for one in registry.listings(each)])
    else:
        found = registry.listings(kind, loaded=True)
        _print([(one.name, one.fault or _described(kind, one)) for one in found])


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
