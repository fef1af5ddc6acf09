"""What a user writes for several things: comma lists, and names for files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Any


def split_commas(values: Iterable[str]) -> list[str]:
    """Returns the parts of comma lists, in order, without the empty ones."""
    parts = (part.strip() for value in values for part in value.split(","))
    return [part for part in parts if part]


def listed(value: object) -> list[Any]:
    """Returns the members of a list, of a comma list in a string, or one object alone.

    >>> listed("svhn, cifar100")
    ['svhn', 'cifar100']
    """
    if isinstance(value, str):
        is_file = os.path.exists(value)  # noqa: PTH110 - it raises for no name
        return [value] if is_file else [*split_commas([value])]
    # Not every Iterable is a list: a network of torch may be one.
    if isinstance(value, Sequence | Iterator | Set):
        return list(value)
    return [value]


def named_file(text: str) -> tuple[str, str]:
    """Returns the name and the rest of `NAME=FILE`; an empty name where none is given.

    >>> named_file("seed0=runs/a.pth")
    ('seed0', 'runs/a.pth')
    >>> named_file("runs/lr=0.1.pth")
    ('', 'runs/lr=0.1.pth')
    """
    name, _, file = text.partition("=")
    # os.path, since pathlib's raises for texts that no file may be called.
    is_path = os.path.exists(text) or os.path.basename(name) != name  # noqa: PTH110, PTH119
    return ("", text) if is_path or not (name and file) else (name, file)
