"""STL-10."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from oodbench import Dataset, InputError, Shape
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._labelled import Labelled, labelled_set

ARCHIVE = Source(
    "stl10/stl10_binary.tar.gz",
    ("http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",),
    checksum="md5:91f7769df0f17e558f3565bffb0c7dfb",
    stated_by="torchvision 0.29.1",
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="5,000 train, 8,000 test",
    citation="Coates, Lee and Ng, An Analysis of Single-Layer Networks in Unsupervised "
    "Feature Learning, AISTATS 2011",
    homepage="https://cs.stanford.edu/~acoates/stl10/",
    trouble="It shares nine classes with CIFAR-10 (unverified); its role must be "
    "stated. Its 100,000 images without labels are not used.",
)


def stl10(argument: str) -> Dataset:
    """Opens STL-10, or some of its ten classes: `stl10:0-7`.

    Images are `[N, 96, 96, 3]`, uint8. The last 500 training images are val.
    """
    found = labelled_set(
        "stl10",
        argument,
        _read,
        ORIGIN,
        classes=10,
        family="",
        shape=Shape(3, 96, 96),
    )
    return replace(found, role="unstated")


def _read(train: bool) -> Labelled:
    part = fetched(ARCHIVE) / "stl10_binary" / ("train" if train else "test")
    try:
        columns = np.fromfile(f"{part}_X.bin", np.uint8).reshape(-1, 3, 96, 96)
        labels = np.fromfile(f"{part}_y.bin", np.uint8).astype(np.int64) - 1
    except (OSError, ValueError) as error:
        raise InputError(
            f"{part}_X.bin cannot be read ({error}); remove its folder."
        ) from error
    return Labelled(columns.transpose(0, 3, 2, 1), labels)
