"""SUN, the images of the MOS paper."""

from __future__ import annotations

from oodbench import Dataset
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import loose, one_split

ARCHIVE = Source(
    "mos_sun/SUN.tar.gz",
    ("http://pages.cs.wisc.edu/~huangrui/imagenet_ood_dataset/SUN.tar.gz",),
    checksum="md5:8469c3ada62211477954ec1be53b12d0",
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
    trouble="It is a part of SUN; papers that compare with MOS call it SUN.",
)


def mos_sun(argument: str) -> Dataset:
    """Opens photographs of SUN places that are none of ImageNet's classes.

    Images have various sizes and no labels, and are all in the test split.
    """
    return one_split("mos_sun", argument, ORIGIN, loose, family="scenes")
