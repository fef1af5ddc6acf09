"""The command line: a file a command, each importing what is heavy when it runs."""

from __future__ import annotations

import sys

import click

from oodbench.cli.list import list_
from oodbench.cli.plot import plot
from oodbench.cli.run import run
from oodbench.cli.table import table
from oodbench.cli.train import train
from oodbench.errors import InputError

BAD_INPUT = 3
UNEXPECTED = 70
INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="oodbench")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def oodbench(debug: bool) -> None:
    r"""Benchmarks out-of-distribution detection on trained classifiers and JEMs.

    \b
    oodbench run                                      a bundled JEM, no download
    oodbench run --model jem.pt --in cifar10 --out svhn,cifar100
    oodbench table > table.md
    """


for command in (run, table, plot, list_, train):
    oodbench.add_command(command)


def main() -> None:
    """Runs the command line; every expected error ends in one sentence."""
    if "--debug" in sys.argv[1:2]:
        oodbench()
    try:
        sys.exit(oodbench(prog_name="oodbench", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except InputError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(BAD_INPUT)
    except (click.Abort, KeyboardInterrupt):
        click.echo(
            "Interrupted. What was finished is kept; the same command goes on there.",
            err=True,
        )
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - no traceback unless asked for
        click.echo(
            f"Unexpected {type(error).__name__}: {error}\nThis is a fault of oodbench "
            "or of a plug-in; `oodbench --debug COMMAND …` shows where.",
            err=True,
        )
        sys.exit(UNEXPECTED)
