"""Several sets as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oodbench import Dataset, InputError, Shape, Split, SplitName
from oodbench.data.spec import open_dataset
from oodbench.datasets._class_list import BETWEEN_SETS
from oodbench.datasets._joined import Joined


def mix(argument: str) -> Dataset:
    """Opens sets one after another as one set: `mix:SET++SET`, of two or more.

    It has the splits that all of them have. It has labels if all of them have labels
    and equal names of classes, or none of them names. Its role is theirs if that is one
    for all and does not depend on the in-distribution set.
    """
    texts = argument.split(BETWEEN_SETS)
    if len(texts) < 2:
        raise InputError(f"mix:{argument} is not two sets; write mix:SET++SET.")
    parts = [open_dataset(text) for text in texts]
    first = parts[0]
    splits = tuple(s for s in first.splits if all(s in part.splits for part in parts))
    if not splits:
        raise InputError(f"The sets of mix:{argument} have no split in common.")

    def load(split: SplitName, shape: Shape) -> Split:
        return _joined([part.load(split, shape) for part in parts])

    alike = all(
        _relation(part) == _relation(first) and not part.made_from for part in parts
    )
    return Dataset(
        name="mix:" + BETWEEN_SETS.join(part.name for part in parts),
        load=load,
        role=first.role if alike else "unstated",
        family=first.family if alike else "",
        label_space=first.label_space if alike else "",
        splits=splits,
        shape=first.shape,
        place=BETWEEN_SETS.join(part.place or part.name for part in parts),
    )


def _relation(dataset: Dataset) -> tuple[str, str, str]:
    """Returns what decides the role beside an in-distribution set."""
    return dataset.role, dataset.family, dataset.label_space


def _joined(splits: Sequence[Split]) -> Split:
    labels = [split.labels for split in splits if split.labels is not None]
    first = splits[0].class_names
    is_labelled = len(labels) == len(splits) and all(
        split.class_names == first for split in splits
    )
    return Split(
        Joined([split.images for split in splits]),
        np.concatenate(labels) if is_labelled else None,
        _clusters(splits),
        class_names=first if is_labelled else (),
        wnids=splits[0].wnids if is_labelled else (),
    )


def _clusters(splits: Sequence[Split]) -> NDArray[np.int64] | None:
    """Returns clusters that no two sets share; None if no set has any."""
    if all(split.clusters is None for split in splits):
        return None
    found: list[NDArray[np.int64]] = []
    for split in splits:
        own = np.arange(len(split.images)) if split.clusters is None else split.clusters
        used = max((int(each.max()) + 1 for each in found if len(each)), default=0)
        found.append(own - own.min(initial=0) + used)
    return np.concatenate(found)
