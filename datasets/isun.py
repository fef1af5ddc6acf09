"""iSUN, resized, of the ODIN paper."""

from __future__ import annotations

from oodbench import Dataset, Shape
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import loose, one_split

ARCHIVE = Source(
    "isun/iSUN.tar.gz",
    ("https://www.dropbox.com/s/raw/ssz7qxfqae0cca5/iSUN.tar.gz",),
    checksum="md5:be77b0f2c26fda898afac5f99645ee70",
    stated_by="detectors 0.1.11",
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="8,925 (stated by detectors)",
    citation="Liang, Li and Srikant, Enhancing The Reliability of "
    "Out-of-distribution Image Detection in Neural Networks, ICLR 2018, "
    "arXiv 1706.02690",
    homepage="https://github.com/facebookresearch/odin",
    trouble="It was resized as lsun_resize was.",
)


def isun(argument: str) -> Dataset:
    """Opens iSUN images, made smaller, as the ODIN paper distributes them.

    Images are `[N, 32, 32, 3]`, uint8, all in the test split, without labels.
    """
    return one_split(
        "isun", argument, ORIGIN, loose, family="scenes", shape=Shape(3, 32, 32)
    )
