"""The architectures that oodbench builds itself: one family per file.

A family's file has the module and `recognise`, which reads the module's arguments off
a state dict.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from oodbench.networks.architectures import cnn, jem_wrn, mlp

Settings = dict[str, Any]
"""The arguments that build a network."""


class Family(NamedTuple):
    """One architecture."""

    network: type[nn.Module]
    recognise: Callable[[Mapping[str, Tensor], Mapping[str, Any]], Settings | None]
    """Returns the settings of the network that a state dict belongs to.

    The second argument holds the settings that the user gave. The result is None for
    the state dict of another family.
    """
    unused: tuple[str, ...] = ()
    """How the names of tensors begin that files have and the network does not."""


ARCHITECTURES: Mapping[str, Family] = {
    "cnn": Family(cnn.CNN, cnn.recognise),
    "jem_wrn": Family(jem_wrn.JEMWideResNet, jem_wrn.recognise, jem_wrn.UNUSED),
    "mlp": Family(mlp.MLP, mlp.recognise),
}
"""By the names that cards and `--arch` use."""
