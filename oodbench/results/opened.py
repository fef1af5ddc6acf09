"""Opens a folder of results; everything is read and computed once."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from oodbench.base.defaults import RESULTS
from oodbench.base.errors import InputError
from oodbench.results import groups
from oodbench.results.exchange import archive
from oodbench.results.groups import Group
from oodbench.results.rows import Measured, measure
from oodbench.results.store import SetFile, Store


@dataclass(frozen=True)
class Results:
    """What is stored of some models, and the numbers that it comes to."""

    groups: list[Group]
    """Those of one in-distribution set one after another."""
    notes: list[str]
    """Everything that is left out, each with the reason."""
    results: Path = RESULTS
    """The folder."""
    hidden: frozenset[str] = frozenset()
    """Detectors that count for the flags of sets and are not shown."""

    @cached_property
    def measured(self) -> list[Measured]:
        """The numbers of every group, in the same order."""
        return [measure(group, self.hidden) for group in self.groups]

    def recomputed(self) -> list[Measured]:
        """Returns the numbers computed from the scores alone, for results of others."""
        return [measure(group, self.hidden, trusts_kept=False) for group in self.groups]


class HasResults(Protocol):
    """What a run returns: it names the folder that it stored in."""

    @property
    def results(self) -> str | Path:
        """The folder."""
        ...


Source = str | Path | HasResults | Results


def of_sets(
    sets: Iterable[SetFile],
    methods: Collection[str] | None = None,
    results: str | Path = RESULTS,
) -> Results:
    """Returns the results of some stored sets, as `groups.find` reads them.

    What belongs to no group is among the notes of the first one, to be shown once.

    Args:
        sets: What to read.
        methods: Keys of the detectors that count; None for all.
        results: The folder that the sets are in.
    """
    found, notes = groups.find(sets, methods)
    if found:
        found[0].notes[:0] = notes
        notes = [note for group in found for note in group.notes]
    return Results(found, notes, Path(results))


def folder_of(source: Source) -> Path:
    """Returns the folder of results, or its archive."""
    return Path(source if isinstance(source, str | Path) else source.results)


def open_results(source: Source) -> Results:
    """Returns all results in a folder; what is open already is returned as it is.

    Args:
        source: The folder, its archive, what `run` returned, or open results.

    Raises:
        InputError: There is no such folder, or no finished results are in it.
    """
    found = read(source)
    if not found.groups and not isinstance(source, Results):
        why = "".join(f" {note}" for note in found.notes[:1])
        raise InputError(f"There are no finished results in {found.results}.{why}")
    return found


def read(source: Source) -> Results:
    """Returns the results in a folder, as `open_results` does; there may be none.

    Raises:
        InputError: There is no such folder.
    """
    if isinstance(source, Results):
        return source
    place = folder_of(source)
    with archive.unpacked(place) as folder:
        found = of_sets(Store(folder).sets(), results=place)
    if folder != place:
        for notes in (found.notes, *(group.notes for group in found.groups)):
            notes[:] = [note.replace(str(folder), str(place)) for note in notes]
    return found
