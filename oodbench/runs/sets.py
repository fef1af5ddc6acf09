"""The sets of a run: those that are named, and those of a run that names none."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from oodbench.base.defaults import INSIDE
from oodbench.base.errors import InputError
from oodbench.base.names import listed
from oodbench.data.dataset import Dataset
from oodbench.data.spec import distinct, split_specs, swept

MADE = (
    "photos",
    "noise:gaussian",
    "inverted:{0}",
    "interp:{0}",
    "rotated:{0}",
    "noise:uniform",
)
"""Out-sets for any in-distribution set that need no download."""


def default_out(inside: str) -> list[str]:
    """Returns the OOD sets of a run that names none.

    Args:
        inside: What opens the in-distribution set; empty if no name does, which leaves
            out the sets that are made from it.
    """
    near = ["digits:8-9"] if inside == INSIDE else []
    made = [name for name in MADE if inside or "{0}" not in name]
    return near + [name.format(inside) for name in made]


def named_sets(
    given: str | Dataset | Iterable[str | Dataset],
) -> list[str | Dataset]:
    """Returns each set that a text or a list names; nothing is opened."""
    if isinstance(given, str):
        return [*split_specs([given])]
    return [
        each
        for one in listed(given)
        for each in (swept(one) if isinstance(one, str) else [one])
    ]


def pair(
    opened: Callable[[str | Dataset], Dataset],
    inside: str | Dataset,
    out: str | Dataset | Iterable[str | Dataset] | None,
    skip_missing: bool,
) -> tuple[Dataset, list[Dataset], dict[str, str]]:
    """Returns the in-distribution set, the OOD sets, and why others do not open."""
    names = named_sets(out) if out is not None else default_out(opened(inside).spec)
    found, missing = _opened(opened, [inside, *names])
    if missing and (str(inside) in missing or not skip_missing):
        raise InputError(" ".join(missing.values()))
    inset, *others = distinct(found)
    return inset, others, missing


def _opened(
    opened: Callable[[str | Dataset], Dataset], names: Iterable[str | Dataset]
) -> tuple[list[Dataset], dict[str, str]]:
    """Returns the sets that open, and why others do not, by their texts."""
    found: list[Dataset] = []
    missing: dict[str, str] = {}
    for name in names:
        try:
            found.append(opened(name))
        except InputError as error:
            missing[str(name)] = str(error)
    return found, missing
