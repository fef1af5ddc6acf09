"""Finds plug-ins (detectors, data sets, models) by entry points and loads them lazily.

An entry point names an object, `energy = "package.module:Energy"`, or a package,
`mine = "package.detectors"`. Every module of such a package is a plug-in with the
module's name: of a detector the module defines the class, of a data set or a model a
function with the module's name. Modules whose names begin with `_` are not plug-ins.

Listing names imports no module of a plug-in, and loading one plug-in loads no other.
The built-in plug-ins are found in the same way as those of other packages.
"""

from __future__ import annotations

import difflib
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Literal, NamedTuple, get_args

from oodbench.base.errors import InputError, reason

Kind = Literal["detectors", "datasets", "models"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class PluginError(InputError):
    """A plug-in is installed and does not work; its authors must repair it."""


class Listing(NamedTuple):
    """One plug-in as `oodbench list` shows it."""

    name: str
    package: str
    fault: str
    """Why it cannot be used; empty if it can, or if it was not loaded."""


class Plugin(NamedTuple):
    """One plug-in, not yet imported."""

    entry: EntryPoint
    package: str
    """The name of the installed package that it belongs to."""
    module: str = ""
    """The module that defines it where the entry point names a package, else empty."""

    def load(self, kind: Kind) -> Any:
        """Imports the plug-in and returns its class or function."""
        if not self.module:
            return self.entry.load()
        module = import_module(self.module)
        if kind == "detectors":
            return _only_detector(module)
        return getattr(module, self.module.rpartition(".")[2])


@cache
def _plugins(kind: Kind) -> dict[str, list[Plugin]]:
    found: dict[str, list[Plugin]] = {}
    for entry in entry_points(group=f"oodbench.{kind}"):
        for name, plugin in _offered(entry):
            found.setdefault(name, []).append(plugin)
    return dict(sorted(found.items()))


def _offered(entry: EntryPoint) -> Iterator[tuple[str, Plugin]]:
    """Yields the plug-ins of an entry point: one, or one per module of a package."""
    package = entry.dist.name if entry.dist else entry.value
    places: Iterable[str] | None = None
    if ":" not in entry.value:
        with suppress(Exception, SystemExit):  # of parent packages, which are imported
            spec = find_spec(entry.value)
            places = spec.submodule_search_locations if spec else None
    if places is None:
        yield entry.name, Plugin(entry, package)  # loading it gives the reason
        return
    for _, name, _ in pkgutil.iter_modules(places):
        if not name.startswith("_"):
            yield name, Plugin(entry, package, f"{entry.value}.{name}")


def _only_detector(module: ModuleType) -> type:
    """Returns the one public class with a method `score` that a module defines."""
    found = [
        value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and not name.startswith("_")
        and hasattr(value, "score")
    ]
    if len(found) != 1:
        names = ", ".join(kind.__name__ for kind in found) or "none"
        raise TypeError(
            f"{module.__name__} must define one public class with a method score; "
            f"it defines {names}"
        )
    return found[0]


def names(kind: Kind) -> list[str]:
    """Returns the names of all plug-ins of a kind, sorted, without loading any."""
    return list(_plugins(kind))


def load(kind: Kind, name: str) -> Any:
    """Returns the class or function of a plug-in.

    Raises:
        InputError: No such name; the message suggests the nearest one.
        PluginError: Two packages claim the name, or the plug-in fails to import.
    """
    plugins = _plugins(kind).get(name)
    if not plugins:
        raise InputError(unknown(kind.removesuffix("s"), name, names(kind)))
    if len(plugins) > 1:
        raise PluginError(_clash(kind, name, plugins))
    noun, owner = kind.removesuffix("s"), plugins[0].package
    with foreign(f"The {noun} {name!r} of package {owner} cannot be imported:"):
        return plugins[0].load(kind)


@contextmanager
def foreign(complaint: str) -> Iterator[None]:
    """Runs code of a plug-in: its output goes to stderr, an error is one sentence.

    Settings of the process that the code changes are put back.

    Args:
        complaint: The beginning of that sentence; the error itself ends it.

    Raises:
        PluginError: Anything was raised but an InputError or a KeyboardInterrupt.
    """
    from oodbench.base import settings  # imports torch

    try:
        with settings.kept(), redirect_stdout(sys.stderr):
            yield
    except (InputError, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit too
        raise PluginError(f"{complaint} {reason(error)}") from error


def listings(kind: Kind, *, loaded: bool = False) -> list[Listing]:
    """Lists the plug-ins of a kind; with `loaded` each is imported to find faults."""
    return [
        Listing(
            name,
            " and ".join(plugin.package for plugin in plugins),
            _fault(kind, name, loaded),
        )
        for name, plugins in _plugins(kind).items()
    ]


def unknown(noun: str, name: str, known: Iterable[str]) -> str:
    """Returns the sentence for an unknown name, with the nearest known one."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    others = f"known: {', '.join(known)}." if known else "there is none at all."
    hint = f"did you mean {near[0]!r}?" if near else others
    return f"There is no {noun} {name!r}; {hint}"


def _clash(kind: Kind, name: str, plugins: list[Plugin]) -> str:
    owners = sorted(
        f"{plugin.package} ({plugin.module or plugin.entry.value})"
        for plugin in plugins
    )
    return (
        f"Two {kind} are called {name!r}: {' and '.join(owners)}. "
        "Uninstall one of the packages."
    )


def _fault(kind: Kind, name: str, loaded: bool) -> str:
    plugins = _plugins(kind)[name]
    if len(plugins) > 1:
        return _clash(kind, name, plugins)
    if loaded:
        try:
            load(kind, name)
        except InputError as error:
            return str(error)
    return ""
