"""The architectures that oodbench builds by itself, by their names in a card."""

from collections.abc import Mapping

from torch import nn

from oodbench.networks.architectures.jem_wrn import JEMWideResNet
from oodbench.networks.architectures.small import CNN, MLP

ARCHITECTURES: Mapping[str, type[nn.Module]] = {
    "cnn": CNN,
    "jem_wrn": JEMWideResNet,
    "mlp": MLP,
}
