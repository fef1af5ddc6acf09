"""What a detector has learnt in `fit`, taken out of it and put into an equal one.

It is in the fields with `init=False`: tensors, numbers, texts, and lists, tuples and
named tuples of them. So it can be stored without code, and moved to a device.
"""

from __future__ import annotations

import typing
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from oodbench.scoring.detector import Detector

Tree: TypeAlias = "dict[str, int] | list[Tree] | str | float | bool | None"
"""JSON; `{"tensor": 2}` is the tensor with that place in a list."""


class State(NamedTuple):
    """What the parts of a detector have learnt."""

    parts: list[dict[str, Tree]]
    """By field, for each part."""
    tensors: list[Tensor]


def state_of(detector: Detector) -> State:
    """Returns what a fitted detector has learnt.

    Raises:
        TypeError: A field has another type of value, or `fit` sets an attribute that
            is no field.
    """
    tensors: list[Tensor] = []
    parts = []
    for part in detector.parts:
        known = _learnt_fields(part)
        own = {name: _packed(vars(part)[name], tensors) for name in known}
        parts.append(own)
    return State(parts, tensors)


def size_of(detector: Detector) -> int | None:
    """Returns the bytes that a fitted detector holds; None if they are not known."""
    try:
        tensors = {id(one): one for one in state_of(detector).tensors}
    except TypeError:
        return None
    return sum(one.nbytes for one in tensors.values())


def restore(detector: Detector, state: State) -> None:
    """Gives a detector what an equal one has learnt.

    Raises:
        ValueError: The state is not of such a detector.
    """
    for part, own in zip(detector.parts, state.parts, strict=True):
        hints = typing.get_type_hints(type(part))
        for name, tree in own.items():
            setattr(part, name, _unpacked(hints[name], tree, state.tensors))


def move(detector: Detector, device: torch.device, moved: dict[Tensor, Tensor]) -> None:
    """Moves what a detector has learnt to a device, and makes it contiguous there.

    A detector whose learning cannot be taken out stays as it is. What is stored is
    contiguous, too, so that products with it round alike.

    Args:
        detector: Fitted.
        device: Where its inputs will be.
        moved: The tensors that were moved before, for detectors that share some.
    """
    try:
        state = state_of(detector)
    except TypeError:
        return
    for tensor in state.tensors:
        if tensor not in moved:
            moved[tensor] = tensor.to(device).contiguous()
    restore(detector, State(state.parts, [moved[one] for one in state.tensors]))


def _learnt_fields(part: Detector) -> list[str]:
    """Returns the fields that `fit` has set."""
    known = [one.name for one in fields(typing.cast("Any", part)) if not one.init]
    before = vars(replace(typing.cast("Any", part)))
    names = {one.name for one in fields(typing.cast("Any", part))}
    for name in vars(part):
        if name not in names and name not in before:
            raise TypeError(
                f"{type(part).__name__}.fit sets {name}, which is no field of the class"
            )
    return [name for name in known if name in vars(part)]


def _packed(value: object, tensors: list[Tensor]) -> Tree:
    if isinstance(value, Tensor):
        tensors.append(value)
        return {"tensor": len(tensors) - 1}
    if isinstance(value, list | tuple):
        return [_packed(one, tensors) for one in value]
    if isinstance(value, bool | int | float | str | None):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be stored")


def _unpacked(hint: Any, tree: Tree, tensors: Sequence[Tensor]) -> Any:
    if isinstance(tree, dict):
        return tensors[tree["tensor"]]
    if not isinstance(tree, list):
        return tree
    if hasattr(hint, "_fields"):
        hints = typing.get_type_hints(hint)
        parts = zip(hint._fields, tree, strict=True)
        return hint(*(_unpacked(hints[name], one, tensors) for name, one in parts))
    inner = [one for one in typing.get_args(hint) if one is not ...]
    kinds = inner if len(inner) == len(tree) else inner[:1] * len(tree)
    found = [_unpacked(k, one, tensors) for k, one in zip(kinds, tree, strict=True)]
    return tuple(found) if typing.get_origin(hint) is tuple else found
