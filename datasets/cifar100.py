"""CIFAR-100."""

from oodbench import Dataset
from oodbench.datasets._torchvision import cifar


def cifar100(argument: str) -> Dataset:
    """Opens CIFAR-100 with its fine labels, or some of them: `cifar100:0-49`.

    Images, val and source are as those of `cifar10`.
    """
    return cifar("cifar100", argument, "CIFAR100", classes=100)
