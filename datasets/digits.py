"""Scikit-learn's handwritten digits."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from oodbench import Dataset, Shape, Split, SplitName
from oodbench.data.dataset import parse_classes, select_classes
from oodbench.datasets._scikit_learn import data_file

BLOCKS: dict[SplitName, slice] = {
    "train": slice(0, 1078),
    "val": slice(1078, 1348),
    "test": slice(1348, 1797),
}
"""60, 15 and 25 % of the images, in the order of the file.

Neighbours in the file are often by one writer. Blocks keep nearly all digits of a
writer in one split; interleaved splits would test on writers seen in training
(1-nearest-neighbour accuracy on 0-7: 0.972 on these blocks, 0.997 interleaved).
"""


def digits(argument: str) -> Dataset:
    """Opens 1,797 digits of 13 writers, or some of the ten classes: `digits:0-7`.

    Images are `[N, 8, 8, 1]`, float32 in [0, 1] in steps of 1/16.

    They come with scikit-learn and are the test part of Alpaydin and Kaynak, Optical
    Recognition of Handwritten Digits, UCI Machine Learning Repository 1998,
    doi 10.24432/C50P49 (CC BY 4.0).
    """
    classes = parse_classes(argument, 10, dataset="digits")

    def load(split: SplitName, shape: Shape) -> Split:
        return select_classes(_read(BLOCKS[split]), classes)

    return Dataset(
        name=f"digits:{argument}" if argument else "digits",
        load=load,
        role="far",
        splits=("train", "val", "test"),
        family="digits",
        shape=Shape(1, 8, 8),
    )


def _read(block: slice) -> Split:
    images, labels = _file()
    return Split(
        images=(images[block, :, :, None] / 16).astype(np.float32),
        labels=labels[block].astype(np.int64),
    )


@cache
def _file() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    table = np.loadtxt(data_file("data/digits.csv.gz"), delimiter=",")
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)
