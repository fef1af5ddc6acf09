"""The command line: `commands/NAME.py` is the command NAME, imported when needed."""

from __future__ import annotations

import errno
import io
import logging
import os
import signal
import sys
from contextlib import suppress
from typing import Any

import click

from oodbench.base.errors import InputError
from oodbench.base.text import printable
from oodbench.cli.group import Commands

_EXIT = os._exit  # a run replaces it, so that plug-ins cannot end the process
BAD_INPUT = 3
UNEXPECTED = 70
NO_OUTPUT = 74
INTERRUPTED = 130
TERMINATED = 143


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="oodbench")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def oodbench(debug: bool) -> None:
    """Benchmarks out-of-distribution detection on trained classifiers and JEMs.

    \b
    oodbench run                       two bundled models, no download
    oodbench run --model jem.pt --in cifar10 --out svhn,cifar100
    oodbench table > table.md
    """
    if debug:
        logging.basicConfig(level=logging.INFO)
        logging.getLogger("oodbench").setLevel(logging.DEBUG)


class _Signals:
    """The signals that asked this process to end."""

    received: list[int]

    def __init__(self) -> None:
        self.received = []
        # A scheduler's SIGTERM ends a run as Ctrl-C does: finished work is kept.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: object) -> None:
        # Remembered, since an import that is interrupted may raise another error.
        self.received.append(number)
        if _torch_is_loading():
            message, code = _explain(KeyboardInterrupt(), self.received)
            os.write(2, f"{message}\n".encode())
            _EXIT(code)
        raise KeyboardInterrupt

    @staticmethod
    def ignore() -> None:
        """Lets the last message be printed in peace."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _torch_is_loading() -> bool:
    """Returns whether torch is being imported: an exception there can abort Python."""
    return any(
        getattr(getattr(module, "__spec__", None), "_initializing", False)
        for name, module in list(sys.modules.items())
        if name.startswith("torch")
    )


def main() -> None:
    """Runs the command line; every expected error ends in one sentence."""
    signals, streams = _Signals(), (sys.stdout, sys.stderr)
    try:
        _prepare_streams()
        streams = sys.stdout, sys.stderr
        if "--debug" in sys.argv[1:2]:
            oodbench()
        code = oodbench(prog_name="oodbench", standalone_mode=False)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - no traceback unless asked for
        if isinstance(error, SystemExit):
            # rich and click turn a closed output into an exit without a word; click
            # also replaces the streams.
            if sys.stdout is not streams[0]:
                error = BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
            elif isinstance(error.__context__, OSError):
                error = error.__context__
            sys.stdout, sys.stderr = streams
        signals.ignore()
        message, code = _explain(error, signals.received)
        with suppress(OSError):
            click.echo(message, err=True, nl=bool(message))
        _drop_output()
        # Under `python -m`, an interrupt within exec() of a text, as in the making of a
        # named tuple, would replace the exit code; another exec() resets that.
        exec("")
    sys.exit(code)


def _explain(error: BaseException, signals: list[int]) -> tuple[str, Any]:
    """Returns the message for an error that ended a command, and the exit code."""
    if isinstance(error, SystemExit):
        try:
            sys.stdout.flush()
        except OSError as fault:
            return _explain(fault, signals)
        return "", error.code
    if signals or isinstance(error, click.Abort | KeyboardInterrupt):
        return (
            "Interrupted. Finished work is kept; the same command continues there.",
            TERMINATED if signal.SIGTERM in signals else INTERRUPTED,
        )
    if isinstance(error, click.ClickException):
        error.show(shown := io.StringIO())
        lines = shown.getvalue().splitlines()
        return "\n".join(map(printable, lines)), error.exit_code
    if isinstance(error, InputError):
        return f"Error: {printable(str(error))}", BAD_INPUT
    if isinstance(error, OSError) and _is_about_output(error):
        return f"Error: The output cannot be written: {error.strerror}.", NO_OUTPUT
    return (
        f"Unexpected {type(error).__name__}: {printable(str(error))}\n"
        "This is a fault of oodbench or of a plug-in; `oodbench --debug COMMAND …` "
        "shows where.",
        UNEXPECTED,
    )


def _prepare_streams() -> None:
    """Makes letters that an encoding lacks be printed as escapes."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123
    if sys.stdout is None:
        raise OSError(errno.EBADF, "it is closed")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Keeps the bytes of file names that are no UTF-8.
            is_lossless = stream.encoding == "utf-8" and stream.errors != "strict"
            if not is_lossless:
                stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Drops output that cannot be written: Python would try once more at its end."""
    with suppress(OSError, ValueError, AttributeError):
        try:
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_about_output(error: OSError) -> bool:
    """Returns whether the standard output is full or closed."""
    at_fault = error.errno in (errno.EPIPE, errno.ENOSPC, errno.EBADF)
    return at_fault and error.filename is None
