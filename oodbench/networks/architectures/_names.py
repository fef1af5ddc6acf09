"""Reads sizes off the names and shapes of a state dict."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def shape(tensors: Mapping[str, Tensor], name: str) -> tuple[int, ...] | None:
    """Returns the shape of a tensor; None where there is no such tensor."""
    tensor = tensors.get(name)
    return None if tensor is None else tuple(tensor.shape)


def count(tensors: Mapping[str, Tensor], pattern: str) -> int:
    """Returns how many names there are: `pattern` with 0, 1, 2, … for `{}`.

    Counting stops at the first gap: a number in a name is not trusted, since it could
    be huge.
    """
    number = 0
    while pattern.format(number) in tensors:
        number += 1
    return number


def among(tensors: Mapping[str, Tensor], names: tuple[str, ...]) -> str:
    """Returns the first of some layers that has a weight; an empty text for none."""
    return next((name for name in names if f"{name}.weight" in tensors), "")
