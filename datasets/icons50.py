"""Icons-50."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from oodbench import Dataset, InputError, Shape, Split
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import one_split
from oodbench.datasets._pickled import ArraysAlone

FILE = Source(
    "icons50/Icons-50.npy", page="https://www.kaggle.com/danhendrycks/icons50"
)
ORIGIN = Origin(
    (FILE,),
    images="10,000 (unverified)",
    citation="Hendrycks and Dietterich, Benchmarking Neural Network Robustness to "
    "Common Corruptions and Surface Variations, arXiv 1807.01697 (unverified)",
    homepage="https://www.kaggle.com/danhendrycks/icons50",
    trouble="It is fetched by hand. The Outlier Exposure paper drops the class of "
    "numbers, which is not named in this file.",
)


def icons50(argument: str) -> Dataset:
    """Opens icons of 50 kinds from many makers, from a file fetched by hand.

    Images are `[N, 32, 32, 3]`, uint8, all in the test split.
    """
    return one_split(
        "icons50", argument, ORIGIN, _load, family="icons", shape=Shape(3, 32, 32)
    )


def _load(path: Path) -> Split:
    try:
        with path.open("rb") as file:
            npy.read_magic(file)
            npy.read_array_header_1_0(file)
            content = ArraysAlone(file, encoding="latin1").load().item()
        images = np.asarray(content["image"]).reshape(-1, 3, 32, 32)
        labels = np.asarray(content["class"], np.int64)
    except (pickle.UnpicklingError, EOFError, AttributeError, TypeError) as error:
        raise InputError(f"{path} cannot be read ({error}); remove it.") from error
    return Split(images.transpose(0, 2, 3, 1).astype(np.uint8), labels)
