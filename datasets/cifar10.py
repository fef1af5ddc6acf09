"""CIFAR-10."""

from oodbench import Dataset
from oodbench.datasets._torchvision import cifar


def cifar10(argument: str) -> Dataset:
    """Opens CIFAR-10, or some of its ten classes: `cifar10:0-7`.

    Images are `[N, 32, 32, 3]`, uint8. The last 5,000 training images are val.

    Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    return cifar("cifar10", argument, "CIFAR10", classes=10)
