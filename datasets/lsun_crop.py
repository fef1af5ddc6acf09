"""LSUN, cropped, of the ODIN paper."""

from __future__ import annotations

from oodbench import Dataset, Shape
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import loose, one_split

ARCHIVE = Source(
    "lsun_crop/LSUN.tar.gz",
    ("https://www.dropbox.com/s/raw/fhtsw1m3qxlwj6h/LSUN.tar.gz",),
    checksum="md5:458a0a0ab8e5f1cb4516d7400568e460",
    stated_by="pytorch-ood and detectors",
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="10,000 (unverified)",
    citation="Liang, Li and Srikant, Enhancing The Reliability of "
    "Out-of-distribution Image Detection in Neural Networks, ICLR 2018, "
    "arXiv 1706.02690",
    homepage="https://github.com/facebookresearch/odin",
    trouble="The images have black borders (unverified).",
)


def lsun_crop(argument: str) -> Dataset:
    """Opens crops of LSUN test images, as the ODIN paper distributes them.

    Images are `[N, 32, 32, 3]`, uint8, all in the test split, without labels.
    """
    return one_split(
        "lsun_crop", argument, ORIGIN, loose, family="scenes", shape=Shape(3, 32, 32)
    )
