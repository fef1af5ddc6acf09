"""Builds a network by name: one of oodbench's architectures, or the user's factory."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from oodbench.base import user_code
from oodbench.base.errors import InputError, reason
from oodbench.base.registry import unknown
from oodbench.data.dataset import Shape
from oodbench.networks import architectures
from oodbench.networks.architectures import Settings
from oodbench.networks.fingerprint import code_key
from oodbench.networks.network import Network

Plain = int | float | bool | str | None
Literal = Plain | tuple[Plain, ...]


class Built(NamedTuple):
    """A module with fresh weights."""

    module: nn.Module
    card: dict[str, Any]
    """What builds it again."""


def build(
    arch: str, arguments: Mapping[str, str], shape: Shape, classes: int, seed: int
) -> Built:
    """Builds a network to be trained on images of a shape.

    Args:
        arch: A name of `architectures`, `package.module:factory` or `file.py:factory`.
        arguments: Read as literals. An architecture of oodbench also gets the shape
            and the number of classes.
        shape: Of one image.
        classes: The number of logits, at least.
        seed: Of the weights.

    Raises:
        InputError: There is no such architecture or argument, or it cannot be built.
    """
    # Modules draw their first weights from the global generator; it is put back after.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if ":" in arch:
            module, _ = call_factory(arch, arguments)
            built = Built(module, {"factory": describe(arch, arguments)})
        else:
            given = own_settings(arch, arguments, ("inputs", "channels", "classes"))
            settings = inputs_of(arch, shape) | given | {"classes": classes}
            built = Built(build_own(arch, settings), {"name": arch, **settings})
        _check_trainable(built.module, arch, shape, classes)
    return built


def build_own(name: str, settings: Settings) -> nn.Module:
    """Builds an architecture of oodbench.

    Raises:
        InputError: There is no such architecture, or none with these settings.
    """
    network = architectures.load(name).network
    try:
        return network(**settings)
    except InputError:
        raise
    except Exception as error:  # settings of a card can be anything
        raise InputError(
            f"{name} cannot be built with {str(settings)[:200]} ({reason(error)})."
        ) from error


def own_settings(
    name: str, arguments: Mapping[str, str], hidden: tuple[str, ...] = ()
) -> Settings:
    """Reads the arguments of an architecture of oodbench.

    Args:
        name: Of the architecture.
        arguments: As texts.
        hidden: Arguments that the user must not give here.

    Raises:
        InputError: There is no such architecture or argument.
    """
    known = inspect.signature(architectures.load(name).network).parameters
    settings: Settings = {}
    for key, text in arguments.items():
        if key not in known or key in hidden:
            offered = [one for one in known if one not in hidden]
            raise InputError(unknown(f"argument of {name}", key, offered))
        value = literal(text)
        if known[key].annotation == "bool" and not isinstance(value, bool):
            raise InputError(f"{key} of {name} must be True or False, not {text!r}.")
        settings[key] = list(value) if isinstance(value, tuple) else value
        is_list = "Sequence" in str(known[key].annotation)
        if is_list and not isinstance(value, tuple):
            settings[key] = [value]
    return settings


def inputs_of(name: str, shape: Shape) -> Settings:
    """Returns the arguments by which an architecture gets the shape of its images."""
    known = inspect.signature(architectures.load(name).network).parameters
    both = {"inputs": list(shape), "channels": shape.channels}
    return {key: both[key] for key in both if key in known}


def call_factory(arch: str, arguments: Mapping[str, str]) -> tuple[nn.Module, str]:
    """Calls `package.module:factory` or `file.py:factory`.

    This runs the user's code, which may fail in any way. It may import what lies in
    the folder of the file, or in the current folder.

    Returns:
        The network, and a hash of the code that built it.

    Raises:
        InputError: It is not there, fails, or returns something else than a module.
    """
    where, _, factory = arch.rpartition(":")
    if not where or not factory:
        raise InputError(
            f"--arch {arch} names no function; write package.module:factory or "
            f"file.py:factory, or one of: {', '.join(architectures.names())}."
        )
    try:
        with user_code.imported(where) as module:
            function = getattr(module, factory)
            network = function(**{key: literal(arguments[key]) for key in arguments})
            code = code_key(function)
    except InputError as error:
        raise InputError(f"--arch {arch}: {error}") from error
    except (Exception, SystemExit) as error:
        raise InputError(f"--arch {arch} failed with {reason(error)}") from error
    if not isinstance(network, nn.Module):
        raise InputError(
            f"--arch {arch} returned a {type(network).__name__}; it must return a "
            "torch.nn.Module."
        )
    return network, code


def describe(arch: str, arguments: Mapping[str, str]) -> str:
    """Returns the call for the record; a file stands with the start of its hash.

    >>> describe("torchvision.models:resnet18", {"num_classes": "10"})
    'torchvision.models:resnet18(num_classes=10)'
    """
    where, _, function = arch.rpartition(":")
    if user_code.is_file(where):
        where = f"{Path(where).name}@{user_code.digest(Path(where))}"
    values = [f"{name}={literal(text)!r}" for name, text in arguments.items()]
    return f"{where}:{function}({', '.join(values)})"


def literal(text: str) -> Literal:
    """Reads a number, `True`, `False`, `None`, a quoted text or several; else the text.

    >>> literal("10"), literal("1e-3"), literal("None"), literal("basic")
    (10, 0.001, None, 'basic')
    >>> literal("256,256")
    (256, 256)
    """
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    parts = value if isinstance(value, tuple) else (value,)
    return value if all(isinstance(part, Plain) for part in parts) else text


def _check_trainable(module: nn.Module, name: str, shape: Shape, classes: int) -> None:
    """Runs a module once, as `Network` does, and leaves its weights trainable."""
    frozen = {key for key, one in module.named_parameters() if not one.requires_grad}
    network = Network(module, shape, name)
    for key, weight in module.named_parameters():
        weight.requires_grad_(key not in frozen)
    if not any(weight.requires_grad for weight in module.parameters()):
        raise InputError(f"{name} has no weights to train.")
    if odd := {"logits", "classes"} & set(network.source):
        raise InputError(
            f"{name} must return logits [N, classes] to be trained; it has "
            f"{network.source[odd.pop()]}."
        )
    if network.classes < classes:
        raise InputError(
            f"{name} gives {network.classes} logits, and the set has {classes} classes."
        )
