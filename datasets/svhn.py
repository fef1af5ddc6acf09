"""Street View House Numbers."""

from __future__ import annotations

import numpy as np

from oodbench import Dataset, Shape
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._labelled import Labelled, labelled_set

FOLDER = "http://ufldl.stanford.edu/housenumbers"
TRAIN = Source(
    "svhn/train_32x32.mat",
    (f"{FOLDER}/train_32x32.mat",),
    checksum="md5:e26dedcc434d2e4c54c9b2d4a06d8373",
    stated_by="torchvision 0.29.1",
    splits=("train", "val"),
)
TEST = Source(
    "svhn/test_32x32.mat",
    (f"{FOLDER}/test_32x32.mat",),
    checksum="md5:eb5a983be6a315427106f1b164d9cef3",
    stated_by="torchvision 0.29.1",
    splits=("test",),
)
ORIGIN = Origin(
    (TRAIN, TEST),
    images="73,257 train, 26,032 test",
    citation="Netzer, Wang, Coates, Bissacco, Wu and Ng, Reading Digits in Natural "
    "Images with Unsupervised Feature Learning, NIPS Workshop on Deep Learning 2011",
    homepage=f"{FOLDER}/",
    trouble="The files call the digit 0 class 10; here it is 0.",
)


def svhn(argument: str) -> Dataset:
    """Opens the cropped Street View House Numbers, or some of the digits: `svhn:0-7`.

    Images are `[N, 32, 32, 3]`, uint8. The last 7,325 training images are val.
    """
    return labelled_set(
        "svhn",
        argument,
        _read,
        ORIGIN,
        classes=10,
        family="house numbers",
        shape=Shape(3, 32, 32),
    )


def _read(train: bool) -> Labelled:
    from scipy.io import loadmat

    found = loadmat(fetched(TRAIN if train else TEST))
    labels = found["y"].reshape(-1).astype(np.int64) % 10
    return Labelled(found["X"].transpose(3, 0, 1, 2), labels)  # from [H, W, C, N]
