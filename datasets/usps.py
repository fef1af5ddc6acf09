"""USPS digits."""

from __future__ import annotations

import bz2

import numpy as np

from oodbench import Dataset, InputError, Shape
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._labelled import Labelled, labelled_set

FOLDER = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass"
TRAIN = Source(
    "usps/usps.bz2",
    (f"{FOLDER}/usps.bz2",),
    checksum="md5:ec16c51db3855ca6c91edd34d0e9b197",
    stated_by="torchvision 0.29.1",
    splits=("train", "val"),
)
TEST = Source(
    "usps/usps.t.bz2",
    (f"{FOLDER}/usps.t.bz2",),
    checksum="md5:8ea070ee2aca1ac39742fdd1ef5ed118",
    stated_by="torchvision 0.29.1",
    splits=("test",),
)
ORIGIN = Origin(
    (TRAIN, TEST),
    images="7,291 train, 2,007 test",
    citation="Hull, A Database for Handwritten Text Recognition Research, IEEE "
    "Transactions on Pattern Analysis and Machine Intelligence 1994",
    homepage=f"{FOLDER}.html#usps",
    trouble="The test images are harder than the training images.",
)


def usps(argument: str) -> Dataset:
    """Opens handwritten digits from envelopes, or some of them: `usps:0-7`.

    Images are `[N, 16, 16, 1]`, uint8, rounded down to levels as torchvision does. The
    last 729 training images are val.
    """
    return labelled_set(
        "usps",
        argument,
        _read,
        ORIGIN,
        classes=10,
        family="characters",
        shape=Shape(1, 16, 16),
        label_space="handwritten digits",
    )


def _read(train: bool) -> Labelled:
    """Reads lines such as `7 1:-1 2:-0.813 … 256:-1`; the label 1 is the digit 0."""
    path = fetched(TRAIN if train else TEST)
    try:
        with bz2.open(path, "rt", encoding="ascii") as file:
            rows = [line.replace(":", " ").split() for line in file]
        table = np.array(rows, np.float32)
        values = ((table[:, 2::2] + 1) / 2 * 255).astype(np.uint8)
        images = values.reshape(-1, 16, 16, 1)
    except (EOFError, OSError, ValueError, IndexError) as error:
        raise InputError(f"{path} cannot be read ({error}); remove it.") from error
    return Labelled(images, table[:, 0].astype(np.int64) - 1)
