"""Some classes of a set."""

from __future__ import annotations

from oodbench import Dataset, Split
from oodbench.data.dataset import select_classes
from oodbench.datasets._changed import selected_set
from oodbench.datasets._class_list import listed


def classes(argument: str) -> Dataset:
    """Opens some classes of a set: `classes:cat+dog:SET`, `classes:0-3+8:SET`.

    Classes are named by name, WordNet id or number, and numbered anew from 0 in the
    order of their numbers. `cifar10` and `cifar100` name the classes of Tiny ImageNet
    that show one of theirs.
    """
    text, _, inner = argument.partition(":")

    def select(split: Split, name: str) -> Split:
        return select_classes(split, sorted(listed(text, split, name)))

    return selected_set(f"classes:{text}", inner, select, renumbered=True)
