"""CIFAR-10.1."""

from __future__ import annotations

import numpy as np

from oodbench import Dataset, InputError, Shape, Split, SplitName
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import chosen

FOLDER = "https://github.com/modestyachts/CIFAR-10.1/raw/master/datasets"
COUNTS = {"v6": "2,000", "v4": "2,021"}


def cifar10_1(argument: str) -> Dataset:
    """Opens a new test set for CIFAR-10, version 6, or version 4: `cifar10_1:v4`.

    Images are `[N, 32, 32, 3]`, uint8, all in the test split.
    """
    version = chosen("cifar10_1", argument, list(COUNTS))
    names = [f"cifar10.1_{version}_{part}.npy" for part in ("data", "labels")]
    origin = Origin(
        tuple(Source(f"cifar10_1/{name}", (f"{FOLDER}/{name}",)) for name in names),
        images=f"{COUNTS[version]} (unverified)",
        citation="Recht, Roelofs, Schmidt and Shankar, Do CIFAR-10 Classifiers "
        "Generalize to CIFAR-10?, arXiv 1806.00451",
        homepage="https://github.com/modestyachts/CIFAR-10.1",
        trouble="It is nearly a copy of the CIFAR-10 test set, and not OOD.",
    )

    def load(split: SplitName, shape: Shape) -> Split:
        images, labels = (_array(source) for source in origin.sources)
        return Split(images, labels.astype(np.int64))

    return Dataset(
        name="cifar10_1" if version == "v6" else f"cifar10_1:{version}",
        load=load,
        role="far",
        family="cifar",
        label_space="cifar10",
        shape=Shape(3, 32, 32),
        origin=origin,
    )


def _array(source: Source) -> np.ndarray:
    path = fetched(source)
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); remove it.") from error
