"""Finds plug-ins (detectors, data sets, models) by entry points and loads them lazily.

Built-in plug-ins come by the same road as those of other packages. A name is only
listed until somebody asks for it; loading one never loads another.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, NamedTuple, get_args

from oodbench.base.errors import InputError

Kind = Literal["detectors", "datasets", "models"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class PluginError(InputError):
    """A plug-in is installed and does not work: its owner's mistake, not the user's."""


class Listing(NamedTuple):
    """One plug-in as `oodbench list` shows it."""

    name: str
    package: str
    fault: str
    """Why it cannot be used; empty where it can, or where it was not loaded."""


@cache
def _plugins(kind: Kind) -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=f"oodbench.{kind}"):
        found.setdefault(entry.name, []).append(entry)
    return dict(sorted(found.items()))


def names(kind: Kind) -> list[str]:
    """Returns the names of all plug-ins of a kind, sorted, without loading any."""
    return list(_plugins(kind))


def load(kind: Kind, name: str) -> Any:
    """Returns the object that a plug-in's entry point names.

    Raises:
        InputError: No such name; the nearest is suggested.
        PluginError: Two packages claim the name, or the plug-in fails to import.
    """
    entries = _plugins(kind).get(name)
    if not entries:
        raise InputError(unknown(kind.removesuffix("s"), name, names(kind)))
    if len(entries) > 1:
        raise PluginError(_clash(kind, name, entries))
    noun, owner = kind.removesuffix("s"), package(entries[0])
    with foreign(f"The {noun} {name!r} of package {owner} cannot be imported:"):
        return entries[0].load()


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
        reason = (str(error).splitlines() or [""])[0]
        raise PluginError(f"{complaint} {type(error).__name__}: {reason}") from error


def package(entry: EntryPoint) -> str:
    """Returns the name of the installed package that an entry point belongs to."""
    return entry.dist.name if entry.dist else entry.value


def listings(kind: Kind, *, loaded: bool = False) -> list[Listing]:
    """Lists the plug-ins of a kind; with `loaded` each is imported and faults told."""
    return [
        Listing(name, " and ".join(map(package, entries)), _fault(kind, name, loaded))
        for name, entries in _plugins(kind).items()
    ]


def unknown(noun: str, name: str, known: Iterable[str]) -> str:
    """Returns the sentence for a name that nobody knows, with the nearest known one."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}."
    return f"There is no {noun} {name!r}; {hint}"


def _clash(kind: Kind, name: str, entries: list[EntryPoint]) -> str:
    owners = sorted(f"{package(entry)} ({entry.value})" for entry in entries)
    return (
        f"Two {kind} are called {name!r}: {' and '.join(owners)}. "
        "Uninstall one of the packages."
    )


def _fault(kind: Kind, name: str, loaded: bool) -> str:
    entries = _plugins(kind)[name]
    if len(entries) > 1:
        return _clash(kind, name, entries)
    if loaded:
        try:
            load(kind, name)
        except InputError as error:
            return str(error)
    return ""
