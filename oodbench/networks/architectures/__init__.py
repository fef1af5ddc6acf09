"""The architectures that oodbench builds itself, one family per file.

A new file here is a new architecture with the file's name. It has `NETWORK`, which
builds the module, and `recognise`, which reads its arguments from a state dict. With
`usual`, which says what the weights do not show, files are recognised without `--arch`.
Files whose names begin with `_` are not architectures.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Collection, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from oodbench.base.errors import InputError
from oodbench.base.registry import unknown

if TYPE_CHECKING:
    from torch import Tensor, nn

LAST = "torchvision_model"
"""Is tried last: to import torchvision takes as long as to import PyTorch."""

Settings = dict[str, Any]
"""The arguments that build a network."""


class Recognise(Protocol):
    """A function of a family."""

    def __call__(
        self, tensors: Mapping[str, Tensor], given: Mapping[str, Any], /
    ) -> Settings | None:
        """Returns the settings of the network that a state dict belongs to.

        Args:
            tensors: The state dict.
            given: The settings that the user gave.

        Returns:
            None for the state dict of another family.
        """


class Usual(NamedTuple):
    """What the weights of a network do not show: the convention of its authors."""

    title: str
    """The network for a reader, as in "ResNet-20 for CIFAR"."""
    normalisation: str
    """A name of `NORMALISATIONS`."""
    reason: str
    """Why it is assumed."""
    side: int
    """Height and width of the images."""
    assumed: tuple[str, ...] = ()
    """What else is assumed, and how another choice is made."""
    takes_smaller: bool = False
    """Whether it may have been trained on the size of the in-distribution set, where
    that is smaller."""


class Family(NamedTuple):
    """One architecture."""

    network: Callable[..., nn.Module]
    """Gets `inputs`, the shape of one image, or `channels`, and `classes`."""
    recognise: Recognise
    usual: Callable[[Settings, Collection[str]], Usual] | None = None
    """Gets the settings, and the keys beside the weights in the file."""
    unused: tuple[str, ...] = ()
    """How the names of tensors begin that files have and the network does not: the
    file's `UNUSED`, where it has one."""


def names() -> list[str]:
    """Returns the names that cards and `--arch` use; imports no family.

    They are sorted, but for `LAST`.
    """
    found = (module.name for module in pkgutil.iter_modules(__path__))
    own = (name for name in found if not name.startswith("_"))
    return sorted(own, key=lambda name: (name == LAST, name))


@cache  # a file is compared with families several times
def load(name: str) -> Family:
    """Returns an architecture.

    Raises:
        InputError: There is no such architecture.
    """
    if name not in names():
        raise InputError(
            f"{unknown('architecture', name, names())} Others are built by "
            "package.module:factory or file.py:factory."
        )
    module = cast(Any, import_module(f"{__name__}.{name}"))
    usual, unused = getattr(module, "usual", None), getattr(module, "UNUSED", ())
    return Family(module.NETWORK, module.recognise, usual, unused)
