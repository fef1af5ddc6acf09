"""Finds the logits in what a module returns."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from torch import Tensor

from oodbench.base.errors import InputError

KEY = "logits"


class Place(NamedTuple):
    """Where the logits are in a module's output."""

    kind: str = ""
    """attribute, key or member; empty where the output itself is the logits."""
    name: str | int = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} of the output" if self.kind else "the output"

    def take(self, output: object) -> object:
        """Returns what lies in this place of an output."""
        if self.kind == "attribute":
            return getattr(output, str(self.name))
        return output[self.name] if self.kind else output  # type: ignore[index]


def find_logits(output: object, images: int, heads: Collection[Tensor] = ()) -> Place:
    """Returns the place of the logits in what a module returned for some images.

    They are the output itself, its attribute or entry `logits`, or its first tensor
    `[N, K]`. Where it has several such tensors, the first must not be contradicted by
    the network's linear layers.

    Args:
        output: What the module returned.
        images: The number N of images that it was given.
        heads: The outputs of the network's linear layers.

    Raises:
        InputError: The output has no logits, or it is unclear which they are.
    """
    if isinstance(output, Tensor):
        return Place()
    if isinstance(output, Mapping):
        if isinstance(output.get(KEY), Tensor):
            return Place("key", KEY)
        members = [(Place("key", key), value) for key, value in output.items()]
    elif isinstance(getattr(output, KEY, None), Tensor):
        return Place("attribute", KEY)
    elif isinstance(output, tuple | list):
        members = [(Place("member", at), value) for at, value in enumerate(output)]
    else:
        raise InputError(f"it returned {type(output).__name__}")
    found = [(place, one) for place, one in members if _is_logits(one, images)]
    if not found:
        raise InputError(f"it returned a {type(output).__name__} without such a tensor")
    by_head = [any(one is head for head in heads) for _, one in found]
    unordered = isinstance(output, Mapping) and len(found) > 1
    if unordered or (any(by_head) and not by_head[0]):
        places = " and ".join(str(place) for place, _ in found)
        raise InputError(f"it is not clear whether the logits are {places}")
    return found[0][0]


def _is_logits(value: object, images: int) -> bool:
    return isinstance(value, Tensor) and value.ndim == 2 and len(value) == images
