"""The group of all commands: `commands/NAME.py` is the command NAME."""

from __future__ import annotations

import importlib
import logging
import pkgutil

import click

from oodbench.base import log
from oodbench.base.errors import InputError
from oodbench.cli import commands

SECTIONS = {
    "Scores": ["run", "tune", "attack", "calibrate"],
    "Results": ["table", "compare", "rank", "costs", "plot", "report", "verify"],
    "Production": ["threshold", "score"],
    "Exchange": ["import", "export", "check", "board"],
    "Data and plug-ins": ["list", "fetch", "overlap", "doctor"],
    "Networks": ["inspect", "convert", "train", "sample", "diagnose"],
}
"""The sections of `oodbench --help`."""


def _be_quiet(ctx: click.Context, parameter: click.Parameter, given: bool) -> None:
    log.quiet = log.quiet or given


def _be_verbose(ctx: click.Context, parameter: click.Parameter, given: bool) -> None:
    if given:
        log.LOG.setLevel(logging.INFO)
        log.LOG.addHandler(log.Lines())


EVERYWHERE = (
    click.Option(
        ["-q", "--quiet"],
        is_flag=True,
        expose_value=False,
        callback=_be_quiet,
        help="Show no progress and no remarks on stderr.",
    ),
    click.Option(
        ["-v", "--verbose"],
        is_flag=True,
        expose_value=False,
        callback=_be_verbose,
        help="Show on stderr what is done.",
    ),
)
"""Options of every command."""


class Commands(click.Group):
    """A group whose commands are the modules of `oodbench.cli.commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names of all commands, sorted; none is imported."""
        return sorted(one.name for one in pkgutil.iter_modules(commands.__path__))

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Writes the commands section by section; those of no section come last."""
        names = self.list_commands(ctx)
        listed = {name for section in SECTIONS.values() for name in section}
        more = {"More": [name for name in names if name not in listed]}
        widest = max(map(len, names))
        limit = formatter.width - widest - 4
        for title, section in (SECTIONS | more).items():
            found = [(name, self.get_command(ctx, name)) for name in section]
            rows = [
                (name.ljust(widest), one.get_short_help_str(limit))
                for name, one in found
                if one is not None
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Returns the click command of that name, with the options of every command."""
        found = self._defined(ctx, cmd_name)
        if found is not None:
            found.params += [one for one in EVERYWHERE if one not in found.params]
        return found

    def _defined(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Returns the click command that is defined in the module of a name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{commands.__name__}.{cmd_name}")
        for found in vars(module).values():
            if (
                isinstance(found, click.Command)
                and getattr(found.callback, "__module__", "") == module.__name__
            ):
                return found
        raise InputError(f"{module.__name__} defines no click command.")
