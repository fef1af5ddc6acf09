"""The command line: a file a command, each importing what is heavy when it runs."""

from __future__ import annotations

import io
import signal
import sys

import click

from oodbench.base.errors import InputError
from oodbench.base.text import printable
from oodbench.cli.commands.attack import attack
from oodbench.cli.commands.calibrate import calibrate
from oodbench.cli.commands.check import check
from oodbench.cli.commands.compare import compare
from oodbench.cli.commands.doctor import doctor
from oodbench.cli.commands.list import list_
from oodbench.cli.commands.plot import plot
from oodbench.cli.commands.report import report
from oodbench.cli.commands.run import run
from oodbench.cli.commands.sample import sample
from oodbench.cli.commands.score import score
from oodbench.cli.commands.table import table
from oodbench.cli.commands.threshold import threshold
from oodbench.cli.commands.train import train

BAD_INPUT = 3
UNEXPECTED = 70
INTERRUPTED = 130
TERMINATED = 143


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="oodbench")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def oodbench(debug: bool) -> None:
    """Benchmarks out-of-distribution detection on trained classifiers and JEMs.

    \b
    oodbench run                                      a bundled JEM, no download
    oodbench run --model jem.pt --in cifar10 --out svhn,cifar100
    oodbench table > table.md
    """


class _Terminated(KeyboardInterrupt):
    """The process was asked to end."""


for command in (
    run,
    table,
    compare,
    plot,
    report,
    threshold,
    calibrate,
    attack,
    score,
    list_,
    train,
    sample,
    check,
    doctor,
):
    oodbench.add_command(command)


def main() -> None:
    """Runs the command line; every expected error ends in one sentence."""
    # A scheduler's SIGTERM ends a run as Ctrl-C does: what is finished is kept.
    signal.signal(signal.SIGTERM, _terminate)
    if "--debug" in sys.argv[1:2]:
        oodbench()
    try:
        sys.exit(oodbench(prog_name="oodbench", standalone_mode=False))
    except click.ClickException as error:
        error.show(told := io.StringIO())
        for line in told.getvalue().splitlines():
            click.echo(printable(line), err=True)
        sys.exit(error.exit_code)
    except InputError as error:
        click.echo(f"Error: {printable(str(error))}", err=True)
        sys.exit(BAD_INPUT)
    except (click.Abort, KeyboardInterrupt) as error:
        click.echo(
            "Interrupted. What was finished is kept; the same command goes on there.",
            err=True,
        )
        # click raises its Abort from what has interrupted it.
        asked = isinstance(error.__cause__ or error, _Terminated)
        sys.exit(TERMINATED if asked else INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - no traceback unless asked for
        click.echo(
            f"Unexpected {type(error).__name__}: {printable(str(error))}\n"
            "This is a fault of oodbench or of a plug-in; `oodbench --debug COMMAND …` "
            "shows where.",
            err=True,
        )
        sys.exit(UNEXPECTED)


def _terminate(*_: object) -> None:
    raise _Terminated
