"""Builds the network that is to be trained, with what its card says of it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from oodbench.base.errors import InputError
from oodbench.base.registry import unknown
from oodbench.data.dataset import Shape
from oodbench.networks import build as factory
from oodbench.networks.architectures import ARCHITECTURES
from oodbench.networks.network import Network


class Built(NamedTuple):
    """A module with fresh weights."""

    module: nn.Module
    card: dict[str, Any]
    """What builds it again."""


def build(
    arch: str, arguments: Mapping[str, str], shape: Shape, classes: int, seed: int
) -> Built:
    """Builds a network for images of a shape.

    Args:
        arch: A name of `ARCHITECTURES`, `package.module:factory` or `file.py:factory`.
        arguments: Read as literals. A network of ours is told shape and classes.
        shape: Of one image.
        classes: How many logits there shall be.
        seed: Of the weights.

    Raises:
        InputError: There is no such architecture or argument, or it cannot be built.
    """
    # Modules draw their first weights from the global generator; it is put back after.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if ":" in arch:
            module = factory.build(arch, arguments)
            built = Built(module, {"factory": factory.describe(arch, arguments)})
        else:
            built = _own(arch, arguments, shape, classes)
        _probe(built.module, arch, shape, classes)
    return built


def _probe(module: nn.Module, name: str, shape: Shape, classes: int) -> None:
    """Runs a module once, as `Network` does, and leaves its weights trainable."""
    frozen = {key for key, one in module.named_parameters() if not one.requires_grad}
    network = Network(module, shape, name)
    for key, weight in module.named_parameters():
        weight.requires_grad_(key not in frozen)
    if not any(weight.requires_grad for weight in module.parameters()):
        raise InputError(f"{name} has no weights to train.")
    if network.classes < classes:
        raise InputError(
            f"{name} gives {network.classes} logits, and the set has {classes} classes."
        )


def _own(name: str, arguments: Mapping[str, str], shape: Shape, classes: int) -> Built:
    if name not in ARCHITECTURES:
        raise InputError(
            f"{unknown('architecture', name, ARCHITECTURES)} Others are built by "
            "package.module:factory or file.py:factory."
        )
    known = inspect.signature(ARCHITECTURES[name]).parameters
    told = {"inputs": list(shape), "channels": shape.channels, "classes": classes}
    settings: dict[str, Any] = {key: told[key] for key in told if key in known}
    for key, text in arguments.items():
        if key not in known or key in told:
            offered = [one for one in known if one not in told]
            raise InputError(unknown(f"argument of {name}", key, offered))
        settings[key] = value = factory.literal(text)
        if known[key].annotation == "bool" and not isinstance(value, bool):
            raise InputError(f"{key} of {name} must be True or False, not {text!r}.")
    settings = {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()}
    if "hidden" in settings and not isinstance(settings["hidden"], list):
        settings["hidden"] = [settings["hidden"]]
    try:
        module = ARCHITECTURES[name](**settings)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{name} cannot be built with {settings}: {reason}."
        ) from error
    return Built(module, {"name": name, **settings})
