"""Image files of an unpacked archive, in the order of their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from oodbench import Dataset, InputError, Shape, Split, SplitName
from oodbench.base.errors import reason
from oodbench.data.image_files import images_below
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import Origin
from oodbench.data.sources.unpacked import UnpackedFiles


def one_split(
    name: str,
    argument: str,
    origin: Origin,
    read: Callable[[Path], Split],
    *,
    family: str,
    label_space: str = "",
    shape: Shape | None = None,
) -> Dataset:
    """Returns a set that takes no argument and has a test split alone.

    Args:
        name: Of the set.
        argument: The text behind its name.
        origin: Where its one file comes from.
        read: Returns the split, given that file or the folder of the unpacked archive.
        family: Of the set.
        label_space: Of the set.
        shape: Of the images, if all have one.

    Raises:
        InputError: There is an argument.
    """
    return several_splits(
        name,
        argument,
        origin,
        lambda split: read(fetched(origin.sources[0])),
        ("test",),
        family=family,
        label_space=label_space,
        shape=shape,
    )


def several_splits(
    name: str,
    argument: str,
    origin: Origin,
    load: Callable[[SplitName], Split],
    splits: tuple[SplitName, ...],
    *,
    family: str,
    label_space: str = "",
    shape: Shape | None = None,
) -> Dataset:
    """Returns a set that takes no argument.

    Args:
        name: Of the set.
        argument: The text behind its name.
        origin: Where its files come from.
        load: Returns a split.
        splits: The names of the splits.
        family: Of the set.
        label_space: Of the set.
        shape: Of the images, if all have one.

    Raises:
        InputError: There is an argument.
    """
    if argument:
        raise InputError(f"{name} takes no argument, got {argument!r}.")

    def checked(split: SplitName, shape: Shape) -> Split:
        try:
            return load(split)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"The files of {name} cannot be read ({reason(error)}); fetch them "
                f"again: {', '.join(source.file for source in origin.sources)}."
            ) from error

    return Dataset(
        name=name,
        load=checked,
        role="far",
        splits=splits,
        family=family,
        label_space=label_space,
        shape=shape,
        origin=origin,
    )


def chosen(name: str, argument: str, known: Sequence[str]) -> str:
    """Returns the argument, or the first known one for an empty one.

    Raises:
        InputError: It is not known.
    """
    if argument and argument not in known:
        raise InputError(
            f"{name}:{argument} is no part of {name}; write {name}: and one of "
            f"{', '.join(known)}."
        )
    return argument or known[0]


def images_in(root: Path) -> list[Path]:
    """Returns the images at any depth of a folder, hidden ones left out, in order.

    Raises:
        InputError: There are none.
    """
    found = images_below(root)
    if not found:
        raise InputError(f"{root} has no images; remove it and fetch the set again.")
    return found


def loose(root: Path) -> Split:
    """Returns the images of a folder without labels."""
    return Split(UnpackedFiles(images_in(root)))


def class_folders(root: Path) -> Split:
    """Returns the images of a folder with one sub-folder per class."""
    paths = images_in(root)
    return labelled(paths, [path.relative_to(root).parts[0] for path in paths])


def labelled(paths: Sequence[Path], classes: Sequence[str]) -> Split:
    """Returns images, each with the name of its class; numbered by sorted names."""
    names, numbers = np.unique(np.array(classes), return_inverse=True)
    return Split(
        UnpackedFiles(paths),
        numbers.astype(np.int64),
        class_names=tuple(names.tolist()),
    )


def inner(root: Path) -> Path:
    """Returns the folder below which a folder has more than one entry."""
    entries = [path for path in root.iterdir() if not path.name.startswith(".")]
    sole = len(entries) == 1 and entries[0].is_dir()
    return inner(entries[0]) if sole else root
