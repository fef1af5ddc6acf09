"""Finds the architecture that tensors belong to, by their names and shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from oodbench.networks import architectures
from oodbench.networks.architectures import Settings, Usual
from oodbench.networks.checkpoint.matching import unwrapped
from oodbench.networks.checkpoint.state_dict import StateDict

_MOST_PREFIXES = 4


class Recognised(NamedTuple):
    """An architecture with the settings that fit some tensors."""

    name: str
    """Of `architectures`."""
    settings: Settings
    usual: Usual
    unused: tuple[str, ...]
    """How the names of tensors begin that the file may have and the module does not."""


def recognise(
    tensors: StateDict,
    keys: Collection[str] = (),
    given: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> Recognised | None:
    """Returns the first architecture that takes the tensors for its own.

    Args:
        tensors: The state dict.
        keys: The keys beside it in the file.
        given: The settings that the user gave.
        name: The only architecture to try; None for all.

    Raises:
        InputError: The user's settings contradict the tensors.
    """
    given = given or {}
    names = architectures.names() if name is None else [name]
    for plain in views(tensors):
        for each in names:
            family = architectures.load(each)
            if family.usual is None:
                continue
            found = family.recognise(plain, given)
            if found is not None:
                settings = {**found, **given}
                usual = family.usual(settings, keys)
                return Recognised(each, settings, usual, family.unused)
    return None


def views(state: StateDict) -> Iterator[dict[str, Tensor]]:
    """Yields tensors by plain name, then those below the prefix that most have."""
    tensors = by_plain_name(state)
    for _ in range(_MOST_PREFIXES):
        yield tensors
        firsts = Counter(name.partition(".")[0] for name in tensors if "." in name)
        ((first, count),) = firsts.most_common(1) or [("", 0)]
        if 2 * count <= len(tensors):
            return
        prefix = f"{first}."
        tensors = {
            name.removeprefix(prefix): each
            for name, each in tensors.items()
            if name.startswith(prefix)
        }


def by_plain_name(state: StateDict) -> dict[str, Tensor]:
    """Returns the tensors of a state dict by their names without any wrapper."""
    tensors = {key: each for key, each in state.items() if isinstance(each, Tensor)}
    return {plain: tensors[name] for plain, name in unwrapped(tensors).items()}
