"""Sets whose images are those of another set, changed one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from oodbench import Dataset, InputError, Role, Shape, Split, SplitName
from oodbench.data.dataset import Chunk, Images, manifest_of
from oodbench.data.spec import open_dataset


def changed_set(
    kind: str, argument: str, role: Role, change: Callable[[Split, str], Split]
) -> Dataset:
    """Returns the set made by a function of each split and the new set's name.

    Raises:
        InputError: The argument names no data set.
    """
    if not argument:
        raise InputError(f"{kind} needs a set to work on, as in {kind}:digits:0-7.")
    inner = open_dataset(argument)
    name = f"{kind}:{inner.name}"

    def load(split: SplitName, shape: Shape) -> Split:
        return change(inner.load(split, shape), name)

    return Dataset(
        name,
        load,
        role,
        inner.splits,
        made_from=inner,
        place=inner.place and f"{kind}:{inner.place}",
    )


def selected_set(
    kind: str,
    argument: str,
    select: Callable[[Split, str], Split],
    *,
    renumbered: bool = False,
) -> Dataset:
    """Returns some images of a set, chosen by a function of each split and a name.

    The role is that of the set. Of a changed set with renumbered classes it is
    unstated, since the labels are no longer those of the set that was changed.

    Args:
        kind: What is written before the set.
        argument: The set.
        select: Chooses.
        renumbered: Whether classes get other numbers, and so another meaning.

    Raises:
        InputError: The argument names no data set.
    """
    if not argument:
        plugin = kind.partition(":")[0]
        raise InputError(f"{kind!r} names no set; write {plugin}:WHICH:SET.")
    inner = open_dataset(argument)
    name = f"{kind}:{inner.name}"
    grade = inner.grade

    def load(split: SplitName, shape: Shape) -> Split:
        return select(inner.load(split, shape), name)

    return replace(
        inner,
        name=name,
        load=load,
        role="unstated" if renumbered and inner.made_from else inner.role,
        made_from=None if renumbered else inner.made_from,
        label_space="" if renumbered else inner.label_space,
        # Another image may be the first, of another size.
        shape=inner.shape if isinstance(inner.shape, Shape) else None,
        place=inner.place and f"{kind}:{inner.place}",
        grade=grade and grade._replace(series=f"{kind}:{grade.series}"),
    )


@dataclass(frozen=True)
class Mapped:
    """Images, each changed as it is read."""

    images: Images
    change: Callable[[NDArray[np.generic]], NDArray[np.generic]]
    """Maps `[..., H, W, C]`, one image or many."""

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, chunk: slice, /) -> Chunk:
        found = self.images[chunk]
        if isinstance(found, np.ndarray):
            return self.change(found)
        return [self.change(image) for image in found]

    def manifest(self) -> str | None:
        """Returns the manifest of the images and the name of the change."""
        return manifest_of(self.images, self.change.__qualname__)
