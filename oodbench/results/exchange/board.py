"""Puts the results of many people side by side, where they can be compared."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from oodbench.base.files import key_of
from oodbench.results.exchange.validate import Finding, check_results, entries
from oodbench.results.groups import StoredSet
from oodbench.results.opened import open_results
from oodbench.results.rows import Measured, Row


class Scored(NamedTuple):
    """One detector of one model of one entry, on one OOD set."""

    entry: str
    row: Row


@dataclass
class Chapter:
    """Everything on one set of in-distribution images."""

    inside: str
    """Its name, with the beginning of its hash where others share the name."""
    scored: list[Scored]
    notes: list[str] = field(default_factory=list)
    """What cannot be compared."""


class Board(NamedTuple):
    """What many people have measured."""

    chapters: list[Chapter]
    refused: dict[str, list[Finding]]
    """Entries that are not shown, each with its faults."""
    remarks: dict[str, list[Finding]]
    """What a reader must know of the entries that are shown."""


class _Part(NamedTuple):
    entry: str
    measured: Measured


class _Set(NamedTuple):
    """A set as one entry has it."""

    entry: str
    images: str
    """A hash of its images."""
    name: str
    role: str


def read_board(folder: str | Path) -> Board:
    """Returns the results of all entries of a folder, each checked.

    Sets are the same where their images are: names and paths do not count. An entry
    with a fault is not shown.

    Args:
        folder: One folder of results or archive per entry.

    Raises:
        InputError: There is no such folder, or no entry in it.
    """
    parts: list[_Part] = []
    refused: dict[str, list[Finding]] = {}
    remarks: dict[str, list[Finding]] = {}
    for name, place in entries(Path(folder)).items():
        found = check_results(place)
        if faults := [one for one in found if one.is_fault]:
            refused[name] = faults
        else:
            remarks[name] = found
            parts += [_Part(name, one) for one in open_results(place).recomputed()]
    return Board(_chapters(parts), refused, remarks)


def _chapters(parts: Iterable[_Part]) -> list[Chapter]:
    by_images: dict[str, list[_Part]] = {}
    sets: list[_Set] = []
    for part in parts:
        one = _set(part.entry, part.measured.group.inside)
        by_images.setdefault(one.images, []).append(part)
        sets.append(one)
    names, notes = _named(sets)
    chapters = [_chapter(names[images], own) for images, own in by_images.items()]
    for chapter in chapters:
        chapter.notes[:0] = [note for note in notes if chapter.inside in note]
    return sorted(chapters, key=lambda one: one.inside)


def _chapter(inside: str, parts: Iterable[_Part]) -> Chapter:
    """Returns the numbers on one set of in-distribution images."""
    sets: list[_Set] = []
    found: list[tuple[_Set, Row]] = []
    for part in parts:
        own = {one.name: _set(part.entry, one) for one in part.measured.group.outside}
        sets += own.values()
        found += [(own[row.outside], row) for row in part.measured.rows]
    names, notes = _named(sets)
    roles = {
        images: _common(one.role for one in sets if one.images == images)
        for images in names
    }
    notes += [
        f"{one.entry} gives {names[one.images]} the role {one.role}; it is shown as "
        f"{roles[one.images]}, as most have it"
        for one in dict.fromkeys(sets)
        if one.role != roles[one.images]
    ]
    scored = [
        Scored(
            one.entry, replace(row, outside=names[one.images], role=roles[one.images])
        )
        for one, row in found
    ]
    return Chapter(inside, scored, notes)


def _set(entry: str, one: StoredSet) -> _Set:
    about = one.record["set"]
    return _Set(entry, _images(one), about["name"], about["role"])


def _named(sets: Sequence[_Set]) -> tuple[dict[str, str], list[str]]:
    """Returns names of images by their hashes, and notes where two are called alike."""
    named = {one.images: one.name for one in sets}
    counts = Counter(named.values())
    names = {
        images: f"{name} ({images[:8]})" if counts[name] > 1 else name
        for images, name in named.items()
    }
    notes = []
    for name in (name for name, count in counts.items() if count > 1):
        owners: dict[str, list[str]] = {}
        for one in dict.fromkeys(sets):
            if one.name == name:
                owners.setdefault(names[one.images], []).append(one.entry)
        who = "; ".join(f"{own} of {', '.join(by)}" for own, by in owners.items())
        notes.append(
            f"sets called {name} are different images and cannot be compared: {who}"
        )
    return names, notes


def _images(one: StoredSet) -> str:
    """Returns a hash of a set's images in order, before their adaptation."""
    if "digests" in one.arrays:
        return hashlib.sha256(one.arrays["digests"].tobytes()).hexdigest()
    return key_of("unknown images", one.record["set"]["key"])


def _common(values: Iterable[str]) -> str:
    """Returns the most frequent text; of several, the first."""
    return Counter(values).most_common(1)[0][0]
