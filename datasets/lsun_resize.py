"""LSUN, resized, of the ODIN paper."""

from __future__ import annotations

from oodbench import Dataset, Shape
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import loose, one_split

ARCHIVE = Source(
    "lsun_resize/LSUN_resize.tar.gz",
    ("https://www.dropbox.com/s/raw/moqh2wh8696c3yl/LSUN_resize.tar.gz",),
    checksum="md5:278b7b31c8cb7e804a1465a8ce03a2dc",
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
    trouble="It was resized without antialiasing, which a network can see: one "
    "detector reaches an AUROC of 99.8 on it, and 79.1 when the loader "
    "resizes (issue 1 of VectorInstitute/gram-ood-detection).",
)


def lsun_resize(argument: str) -> Dataset:
    """Opens LSUN test images, made smaller, as the ODIN paper distributes them.

    Images are `[N, 32, 32, 3]`, uint8, all in the test split, without labels.
    """
    return one_split(
        "lsun_resize", argument, ORIGIN, loose, family="scenes", shape=Shape(3, 32, 32)
    )
