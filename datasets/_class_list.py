"""Which classes of a split a text names."""

from __future__ import annotations

import re

from oodbench import InputError, Split
from oodbench.base.registry import unknown
from oodbench.datasets._shared_classes import SHARED

BETWEEN_SETS = "++"
"""Separates sets; a single + is part of `digits:0-3+8`."""


def count_of(split: Split, name: str) -> int:
    """Returns the number of classes of a split, whose labels all are classes.

    Raises:
        InputError: Some images have no class.
    """
    labels = split.labels
    if labels is None or (len(labels) and labels.min() < 0):
        raise InputError(f"{name} needs a set whose images all have a class.")
    return max(int(labels.max(initial=-1)) + 1, len(split.class_names))


def listed(text: str, split: Split, name: str) -> set[int]:
    """Returns the numbers of the classes that `cat+dog+3+5-7` names.

    A name may be any of several that a comma separates, as in "tabby, tabby cat", or a
    WordNet id. `cifar10` and `cifar100` name the classes of ImageNet that these show.

    Raises:
        InputError: A part names no class, or several.
    """
    count = count_of(split, name)
    return {
        number
        for part in text.split("+")
        for number in _named(part, split, count, name)
    }


def _named(part: str, split: Split, count: int, name: str) -> set[int]:
    if part in SHARED:
        return _in_table(part, split, name)
    wanted = _plain(part)
    by_id = [number for number, id_ in enumerate(split.wnids) if id_ == part]
    whole = [n for n, each in enumerate(split.class_names) if _plain(each) == wanted]
    some = [n for n, each in enumerate(split.class_names) if wanted in synonyms(each)]
    found = by_id or whole or some
    if len(found) > 1:
        numbers = " and ".join(map(str, found))
        raise InputError(f"{name}: {part!r} names classes {numbers}; write a number.")
    if found:
        return set(found)
    if ends := re.fullmatch(r"(\d+)(?:-(\d+))?", part):
        return _numbered(
            part, int(ends[1]), int(ends[2] or ends[1]), split, count, name
        )
    raise InputError(f"{name}: {unknown('class', part, split.class_names)}")


def _in_table(table: str, split: Split, name: str) -> set[int]:
    ids = split.wnids or split.class_names
    found = {number for number, id_ in enumerate(ids) if id_ in SHARED[table]}
    if not found:
        raise InputError(
            f"{name}: no class has a WordNet id of the list {table}; name the classes."
        )
    return found


def _numbered(
    part: str, low: int, high: int, split: Split, count: int, name: str
) -> set[int]:
    if not low <= high < count:
        raise InputError(
            f"{name}: {part!r} must rise and stay within 0-{count - 1}, the numbers of "
            "the classes."
        )
    numbers = set(range(low, high + 1))
    for number in numbers & {int(n) for n in split.class_names if n.isdecimal()}:
        if split.class_names[number] != str(number):
            raise InputError(
                f"{name}: class {number} is called {split.class_names[number]!r}, and "
                f"another {str(number)!r}; write names, one by one."
            )
    return numbers


def shared(split: Split, other: Split, name: str) -> set[int]:
    """Returns the classes of a split that another has, by a name or the WordNet id.

    Raises:
        InputError: There is none, or a split has no names.
    """
    names = {known for each in other.class_names for known in synonyms(each)}
    ids = {*other.wnids, *other.class_names}
    found = {n for n, each in enumerate(split.class_names) if synonyms(each) & names}
    found |= {n for n, id_ in enumerate(split.wnids) if id_ in ids}
    found |= {n for n, id_ in enumerate(split.class_names) if id_ in other.wnids}
    if not found:
        raise InputError(
            f"{name}: the sets share no name of a class and no WordNet id, so that "
            "nothing would be left out; name the classes, as in without:cat+dog:SET."
        )
    return found


def synonyms(text: str) -> set[str]:
    """Returns the names in the name of a class.

    >>> sorted(synonyms("sports car, sport_car"))
    ['sport car', 'sports car']
    """
    return {_plain(part) for part in text.split(",")}


def _plain(name: str) -> str:
    return name.replace("_", " ").strip().casefold()
