"""TIN597, outlier data of OpenOOD."""

from __future__ import annotations

from pathlib import Path

from oodbench import Dataset, Shape, Split
from oodbench.data.sources.source import DRIVE, Origin, Source
from oodbench.datasets._files import images_in, labelled, one_split

ARCHIVE = Source(
    "tin597/tin597.zip", (DRIVE + "1R0d8zBcUxWNXz6CPXanobniiIfQbpKzn",), unpack=True
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="29,850",
    citation="Zhang and others, OpenOOD v1.5: Enhanced Benchmark for "
    "Out-of-Distribution Detection, arXiv 2306.09301",
    homepage="https://github.com/Jingkang50/OpenOOD",
    trouble="OpenOOD trains with it as outliers for CIFAR. That it has no class of "
    "Tiny ImageNet is unverified.",
)


def tin597(argument: str) -> Dataset:
    """Opens 50 images of each of 597 ImageNet classes.

    Images are `[N, 64, 64, 3]`, uint8, or grey, and are all in the test split. Classes
    have the names of ImageNet's folders.
    """
    return one_split(
        "tin597", argument, ORIGIN, _load, family="cifar", shape=Shape(3, 64, 64)
    )


def _load(root: Path) -> Split:
    paths = images_in(root)
    return labelled(paths, [path.parents[1].name for path in paths])
