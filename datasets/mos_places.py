"""Places, the images of the MOS paper."""

from __future__ import annotations

from oodbench import Dataset
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import loose, one_split

ARCHIVE = Source(
    "mos_places/Places.tar.gz",
    ("http://pages.cs.wisc.edu/~huangrui/imagenet_ood_dataset/Places.tar.gz",),
    checksum="md5:b5cb5eba2754ae2a28beea8718db699a",
    stated_by="detectors 0.1.11",
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="10,000",
    citation="Huang and Li, MOS: Towards Scaling Out-of-Distribution Detection for "
    "Large Semantic Space, CVPR 2021, arXiv 2105.01879",
    licence="not stated",
    homepage="https://github.com/deeplearning-wisc/large_scale_ood",
    trouble="It is a part of Places365 and quite another set than places365.",
)


def mos_places(argument: str) -> Dataset:
    """Opens photographs of Places365 scenes that are none of ImageNet's classes.

    Images have various sizes and no labels, and are all in the test split.
    """
    return one_split("mos_places", argument, ORIGIN, loose, family="scenes")
