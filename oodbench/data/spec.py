"""Opens data sets by what the command line calls them: `near=digits:8-9`."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from oodbench.base import registry
from oodbench.base.errors import InputError
from oodbench.data.dataset import ROLES, Dataset


def open_dataset(spec: str) -> Dataset:
    """Returns the set that `NAME`, `NAME:ARGUMENT` or `ROLE=NAME:ARGUMENT` calls for.

    Raises:
        InputError: Unknown name or role, or an argument that the set refuses.
    """
    role, equals, plain = spec.partition("=")
    # An equals sign behind a colon belongs to the argument.
    if not equals or ":" in role:
        return _open(spec)
    if role not in ROLES:
        raise InputError(_unknown("role", role, ROLES, path=spec))
    # Without kin no in-set changes the role that was stated.
    return replace(_open(plain), role=role, family="", made_from=None)


def _open(spec: str) -> Dataset:
    name, _, argument = spec.partition(":")
    known = registry.names("datasets")
    if not name:
        raise InputError(
            f"{spec!r} names no data set; write NAME or NAME:ARGUMENT, "
            "as in digits:0-7."
        )
    if name not in known:
        raise InputError(_unknown("data set", name, known, path=spec))
    make = registry.load("datasets", name)
    with registry.foreign(f"The data set {spec!r} failed with"):
        dataset = make(argument)
    if not isinstance(dataset, Dataset):
        raise registry.PluginError(
            f"The data set {spec!r} is a {type(dataset).__name__}; its plug-in must "
            "return an oodbench.data.dataset.Dataset."
        )
    return replace(dataset, spec=spec)


def _unknown(noun: str, name: str, known: Iterable[str], *, path: str) -> str:
    with suppress(OSError):  # longer than a file's name may be
        if Path(path).is_dir():
            return f"{path!r} is a folder; write folder:{path}."
        if path.endswith(".npz") and Path(path).is_file():
            return f"{path!r} is a file; write npz:{path}."
    return registry.unknown(noun, name, known)
