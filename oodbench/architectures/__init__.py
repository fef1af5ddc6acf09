"""The architectures that oodbench builds by itself, by their names in a card."""

from collections.abc import Mapping

from torch import nn

from oodbench.architectures.jem_wrn import JEMWideResNet
from oodbench.architectures.small import MLP

ARCHITECTURES: Mapping[str, type[nn.Module]] = {"jem_wrn": JEMWideResNet, "mlp": MLP}
