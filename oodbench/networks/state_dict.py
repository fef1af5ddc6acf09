"""Finds the weights in what a checkpoint holds, and puts them into a module."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from oodbench.base.errors import InputError

# Averaged weights come first: where a file has them, they are the ones to evaluate.
_KEYS = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "params_ema", "ema"),
    *("state_dict", "model_state_dict", "model", "net", "network", "weights", "params"),
)
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
_DEEPEST = 4  # dictionaries in dictionaries, and prefixes before prefixes
_COUNTER = "n_averaged"  # torch.optim.swa_utils.AveragedModel keeps it by the weights


class Found(NamedTuple):
    """A state dict, and how it was found."""

    tensors: dict[str, Tensor]
    how: str
    """For the record, as in `"state_dict; prefix module. removed"`."""


def find_state_dict(content: object) -> Found:
    """Unwraps a state dict from the dictionaries and the name prefixes around it.

    Raises:
        InputError: There is none, or some of its weights are not finite.
    """
    found = _search(content, _DEEPEST)
    if found is None:
        raise InputError(_nothing_in(content))
    keys, state = found
    named = {name: tensor for name, tensor in state.items() if name != _COUNTER}
    prefix = wrapping(named)
    tensors = {name[len(prefix) :]: each.detach() for name, each in named.items()}
    _check_finite(tensors)
    how = " > ".join(keys) or "bare state dict"
    return Found(tensors, f"{how}; prefix {prefix} removed" if prefix else how)


def wrapping(names: Collection[str]) -> str:
    """Returns the prefixes of usual wrappers that all names begin with.

    >>> wrapping(["module.model.conv.weight", "module.model.conv.bias"])
    'module.model.'
    """
    prefix = ""
    for _ in range(_DEEPEST if names else 0):
        longer = [prefix + step for step in _PREFIXES]
        shared = (each for each in longer if all(n.startswith(each) for n in names))
        prefix = next(shared, prefix)
    return prefix


def fill(module: nn.Module, tensors: Mapping[str, Tensor], *, name: str) -> None:
    """Loads a state dict into the module called `name`, leaving nothing out.

    A module on the meta device takes the tensors themselves, so that none of it is
    allocated before its shapes are known to be the file's.

    Raises:
        InputError: Names or shapes differ.
    """
    own = module.state_dict()
    # A module may call its body `net` for good: its names are unwrapped likewise.
    prefix = wrapping(own)
    weights = {prefix + key: tensor for key, tensor in tensors.items()}
    clashes = [
        key for key in own if key in weights and not _fits(weights[key], own[key])
    ]
    fitting = {
        key: tensor.to(own[key].dtype) if key in own else tensor
        for key, tensor in weights.items()
        if key not in clashes
    }
    # Not strict, since the module may know names of old versions as its own.
    missing, unexpected = module.load_state_dict(
        fitting, strict=False, assign=any(tensor.is_meta for tensor in own.values())
    )
    faults = {
        "missing": [repr(key) for key in missing if key not in clashes],
        "unexpected": [repr(key) for key in unexpected],
        "of another form": [
            f"{key!r} {_form(weights[key])} for {_form(own[key])}" for key in clashes
        ],
    }
    if told := [f"{len(f)} {kind} ({some(f)})" for kind, f in faults.items() if f]:
        raise InputError(
            f"The checkpoint does not fit {name}: of its tensors, {', '.join(told)}."
        )


def input_channels(tensors: Mapping[str, Tensor]) -> int | None:
    """Returns the channels of the images that the first convolution takes.

    None without a convolution on grey or RGB images, as for a multi-layer perceptron.
    """
    first = next((each for each in tensors.values() if each.ndim == 4), None)
    return None if first is None or first.shape[1] not in (1, 3) else first.shape[1]


def some(texts: Iterable[str]) -> str:
    """Returns the first five texts, shortened, for a message; "none" for no text."""
    texts = [text[:80] for text in texts]
    return ", ".join(texts[:5]) + (", …" if len(texts) > 5 else "") or "none"


def _search(
    content: object, depth: int
) -> tuple[list[str], Mapping[str, Tensor]] | None:
    if not isinstance(content, Mapping) or not content:
        return None
    if all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()):
        return [], content
    for key in _KEYS if depth else ():
        if found := _search(content.get(key), depth - 1):
            return [key, *found[0]], found[1]
    return None


def _nothing_in(content: object) -> str:
    if not isinstance(content, Mapping):
        return (
            f"The checkpoint holds a {type(content).__name__}, not a dictionary of "
            "weights; save model.state_dict()."
        )
    return (
        f"The checkpoint holds no state dict: its keys are {some(map(repr, content))}. "
        "Save model.state_dict(), bare or under the key 'state_dict'."
    )


def _check_finite(tensors: Mapping[str, Tensor]) -> None:
    bad = [
        repr(name)
        for name, tensor in tensors.items()
        # In float32, since that is how the network will run.
        if tensor.is_floating_point() and not torch.isfinite(tensor.float()).all()
    ]
    if bad:
        raise InputError(
            f"{len(bad)} tensors of the checkpoint hold NaN or infinite values: "
            f"{some(bad)}. The training has probably diverged; take an earlier one."
        )


def _fits(given: Tensor, own: Tensor) -> bool:
    # Integers in place of weights would be the codes of a quantised network.
    is_number = given.is_floating_point() or not own.is_floating_point()
    return given.shape == own.shape and is_number


def _form(tensor: Tensor) -> str:
    sizes = "x".join(map(str, tensor.shape)) or "scalar"
    return sizes if tensor.is_floating_point() else f"{sizes} {tensor.dtype}"
