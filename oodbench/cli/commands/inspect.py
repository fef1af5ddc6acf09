"""`oodbench inspect`."""

from __future__ import annotations

import json
import textwrap

import click

from oodbench.base.text import printable

_WIDTH, _COLUMN = 80, 16


@click.command()
@click.argument("file")
@click.option(
    "--weights",
    metavar="KEY",
    help="Which weights of the file, as for `run`.  [default: averaged ones]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")
def inspect(file: str, weights: str | None, as_json: bool) -> None:
    """Explains a checkpoint and prints the command that runs it.

    FILE may be hf://OWNER/REPO/FILE@REVISION, too.
    It shows what the file holds, its architecture, what is assumed and what is missing.
    The file is read as data; nothing in it is run.
    """
    from oodbench.networks.inspection import inspect_file

    facts = inspect_file(file, weights)
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    for name, value in facts.items():
        for number, text in enumerate(_texts(value)):
            _print("" if number else name, text)


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [f"{key}: {text}" for key, text in value.items()] or ["nothing"]
    if isinstance(value, list):
        return [str(each) for each in value] or ["none"]
    if isinstance(value, tuple):
        return [", ".join(f"{number:g}" for number in value)]
    return [f"{value:,}" if isinstance(value, int) else str(value or "no")]


def _print(name: str, text: str) -> None:
    lines = [printable(text)]
    if name != "command":  # which is to be copied whole
        lines = textwrap.wrap(
            lines[0],
            _WIDTH - _COLUMN,
            break_long_words=False,
            break_on_hyphens=False,
        )
    for line in lines or [""]:
        click.echo(f"{name:<{_COLUMN}}{line}")
        name = ""
