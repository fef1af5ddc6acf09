"""Reads what `oodbench diagnose` and `oodbench sample` store next to the results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from oodbench.base.defaults import DIAGNOSES, SAMPLES
from oodbench.base.files import Record
from oodbench.results.groups import Group
from oodbench.results.schema import DIAGNOSIS, SAMPLED, Form, fits

KEY = 8
"""Digits of a key that a sentence names."""


class Stored(NamedTuple):
    """A record and its file."""

    path: Path
    record: Record


class Densities(NamedTuple):
    """What is known of the p(x) of networks."""

    diagnoses: Sequence[Stored] = ()
    samples: Sequence[Stored] = ()
    notes: Sequence[str] = ()
    """What is left out, each with the reason."""


NOTHING = Densities()


def read(folder: Path) -> Densities:
    """Returns what is stored below a folder, the latest of each network last.

    Args:
        folder: The one that the folder of results lies in.
    """
    samples, notes = folder / SAMPLES.name, list[str]()
    found = sorted(samples.glob("*/samples.json"))
    return Densities(
        _read(sorted((folder / DIAGNOSES.name).glob("*.json")), DIAGNOSIS, notes),
        _read(found, SAMPLED, notes),
        notes,
    )


def of_group(stored: Iterable[Stored], group: Group) -> tuple[Stored | None, str]:
    """Returns the latest record of a group's network, or why there is none.

    The reason is empty where no network of that name has a record.
    """
    model, reason = group.inside.record["model"], ""
    own = None
    for one in stored:
        about = one.record["model"]
        if about["key"] == model["key"]:
            own = one
        elif about["name"] == model["name"]:
            reason = (
                f"{one.path} is left out: it is of another network of this name (key "
                f"{about['key'][:KEY]}, and {model['key'][:KEY]} was scored)."
            )
    return own, "" if own else reason


def _read(paths: Iterable[Path], form: Form, notes: list[str]) -> list[Stored]:
    found = []
    for path in paths:
        try:
            record = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            record = None
        if fits(record, form):
            found.append(Stored(path, record))
        else:
            notes.append(f"{path} is left out: it is damaged, or not of this version.")
    return sorted(found, key=lambda one: one.record["run"]["finished"])
