"""Flowers-102."""

from __future__ import annotations

import numpy as np

from oodbench import Dataset, Split, SplitName
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import Origin, Source
from oodbench.data.sources.unpacked import UnpackedFiles
from oodbench.datasets._files import several_splits

FOLDER = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102"
ARCHIVE = Source(
    "flowers102/102flowers.tgz",
    (f"{FOLDER}/102flowers.tgz",),
    checksum="md5:52808999861908f626f3c1f4e79d11fa",
    stated_by="torchvision 0.29.1",
    unpack=True,
)
LABELS = Source(
    "flowers102/imagelabels.mat",
    (f"{FOLDER}/imagelabels.mat",),
    checksum="md5:e0620be6f572b9609742df49c70aed4d",
    stated_by="torchvision 0.29.1",
)
SPLITS = Source(
    "flowers102/setid.mat",
    (f"{FOLDER}/setid.mat",),
    checksum="md5:a5357ecc9cb78c4bef273ce3793fc85c",
    stated_by="torchvision 0.29.1",
)
ORIGIN = Origin(
    (ARCHIVE, LABELS, SPLITS),
    images="1,020 train, 1,020 val, 6,149 test (unverified)",
    citation="Nilsback and Zisserman, Automated Flower Classification over a Large "
    "Number of Classes, ICVGIP 2008",
    homepage=f"{FOLDER}/",
)
NAMES: dict[SplitName, str] = {"train": "trnid", "val": "valid", "test": "tstid"}


def flowers102(argument: str) -> Dataset:
    """Opens photographs of 102 kinds of flowers, in the official splits.

    Images have various sizes.
    """
    return several_splits(
        "flowers102", argument, ORIGIN, _load, ("train", "val", "test"), family="plants"
    )


def _load(split: SplitName) -> Split:
    from scipy.io import loadmat

    numbers = loadmat(fetched(SPLITS))[NAMES[split]].reshape(-1)  # from 1
    labels = loadmat(fetched(LABELS))["labels"].reshape(-1).astype(np.int64)
    folder = fetched(ARCHIVE) / "jpg"
    paths = [folder / f"image_{number:05d}.jpg" for number in numbers]
    return Split(UnpackedFiles(paths), labels[numbers.astype(np.int64) - 1] - 1)
