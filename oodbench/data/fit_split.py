"""Which split of a data set is fitted or trained on."""

from __future__ import annotations

from oodbench.base.errors import InputError
from oodbench.data.dataset import Dataset, SplitName


def fit_split(dataset: Dataset, wanted: SplitName, *, named: bool) -> SplitName:
    """Returns the split to fit on: the wanted one, or the only one of a named set.

    Args:
        dataset: The set.
        wanted: `train` or `val`.
        named: Whether the user named this set for fitting, as by --fit. If it has a
            single split, the user means that one, whatever its name.

    Raises:
        InputError: The set has no such split.
    """
    if named and len(dataset.splits) == 1:
        return dataset.splits[0]
    if wanted not in dataset.splits:
        raise InputError(
            f"{dataset.name} has no {wanted} split, only {', '.join(dataset.splits)}; "
            "name another set to fit on."
        )
    return wanted
