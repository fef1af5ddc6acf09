"""The first images of each class of a set."""

from __future__ import annotations

import numpy as np

from oodbench import Dataset, InputError, Split
from oodbench.datasets._changed import selected_set


def first(argument: str) -> Dataset:
    """Opens the first images of each class, in the set's order: `first:1000:svhn`.

    Of a class that has fewer images all are taken.
    """
    text, _, inner = argument.partition(":")
    if not text.isdecimal() or not (count := int(text)):
        raise InputError(f"first:{argument} names no number; write first:1000:SET.")

    def select(split: Split, name: str) -> Split:
        if split.labels is None:
            raise InputError(f"{name} counts images by class, and there are no labels.")
        places = [
            np.flatnonzero(split.labels == label)[:count]
            for label in np.unique(split.labels)
        ]
        return split.pick(np.sort(np.concatenate(places)))

    return selected_set(f"first:{count}", inner, select)
