"""A set without some classes."""

from __future__ import annotations

from oodbench import Dataset, InputError, Shape, Split
from oodbench.data.dataset import select_classes
from oodbench.data.spec import open_dataset
from oodbench.datasets._changed import selected_set
from oodbench.datasets._class_list import BETWEEN_SETS, count_of, listed, shared


def without(argument: str) -> Dataset:
    """Opens a set without some classes: `without:cat+dog:SET`, `without:OTHER++SET`.

    Classes are named as for `classes:`; `without:cifar10:SET` leaves out those that
    show a class of CIFAR-10. OTHER is a set: the classes that it has too are left out,
    found by their names or WordNet ids. The others are numbered anew from 0.
    """
    other, between, inner = argument.partition(BETWEEN_SETS)
    if between:
        return _without_shared(other, inner)
    text, _, inner = argument.partition(":")

    def select(split: Split, name: str) -> Split:
        return _left(split, listed(text, split, name), name)

    return selected_set(f"without:{text}", inner, select, renumbered=True)


def _without_shared(other: str, inner: str) -> Dataset:
    removed = open_dataset(other)
    if BETWEEN_SETS in inner:
        raise InputError(f"without takes two sets, got {other}++{inner}.")

    def select(split: Split, name: str) -> Split:
        # Names of classes do not depend on the shape of the images.
        known = removed.load(removed.splits[-1], Shape(3, 32, 32))
        return _left(split, shared(split, known, name), name)

    return selected_set(f"without:{removed.name}", inner, select, renumbered=True)


def _left(split: Split, removed: set[int], name: str) -> Split:
    kept = [n for n in range(count_of(split, name)) if n not in removed]
    return select_classes(split, kept)
