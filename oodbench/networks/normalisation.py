"""Normalisations by name, for pixels in [0, 1], and where each is documented."""

from __future__ import annotations

from typing import NamedTuple

from oodbench.base.errors import InputError
from oodbench.base.registry import unknown

Values = tuple[float, ...]


class Normalisation(NamedTuple):
    """Mean and standard deviation, one value or one per channel."""

    mean: Values
    std: Values
    source: str


_CIFAR = (0.4914, 0.4822, 0.4465)
NORMALISATIONS = {
    "none": Normalisation((0.0,), (1.0,), "pixels in [0, 1] as they are"),
    "half": Normalisation((0.5,), (0.5,), "pixels in [-1, 1], as in all JEM code"),
    "imagenet": Normalisation(
        (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "torchvision's weights"
    ),
    "cifar10": Normalisation(
        _CIFAR, (0.2470, 0.2435, 0.2616), "OpenOOD; Outlier Exposure's code"
    ),
    "cifar10-kuangliu": Normalisation(
        _CIFAR, (0.2023, 0.1994, 0.2010), "kuangliu/pytorch-cifar; DICE's code"
    ),
    "cifar100": Normalisation(
        (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761), "OpenOOD"
    ),
    "mnist": Normalisation((0.1307,), (0.3081,), "PyTorch's MNIST example"),
    "svhn": Normalisation(
        (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970), "the ccexam package"
    ),
    "usps": Normalisation((0.2471,), (0.2994,), "the ccexam package"),
}


def named(name: str) -> Normalisation:
    """Returns a normalisation.

    Raises:
        InputError: There is none of this name.
    """
    if name not in NORMALISATIONS:
        raise InputError(unknown("normalisation", name, NORMALISATIONS))
    return NORMALISATIONS[name]


def given(
    mean: Values | str | None, std: Values | str | None
) -> tuple[Values | None, Values | None]:
    """Returns mean and standard deviation as numbers; None for what is not given.

    The name of a mean brings its standard deviation, unless another is given.

    >>> given("cifar10", None)
    ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616))
    >>> given("mnist", (1.0,))
    ((0.1307,), (1.0,))

    Raises:
        InputError: There is no normalisation of a name.
    """
    if isinstance(mean, str):
        std = named(mean).std if std is None else std
        mean = named(mean).mean
    return mean, named(std).std if isinstance(std, str) else std
