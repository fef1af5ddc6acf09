"""iNaturalist, the images of the MOS paper."""

from __future__ import annotations

from oodbench import Dataset
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import loose, one_split

ARCHIVE = Source(
    "inaturalist/iNaturalist.tar.gz",
    ("http://pages.cs.wisc.edu/~huangrui/imagenet_ood_dataset/iNaturalist.tar.gz",),
    checksum="md5:5be6ea8aa027d7b631916427b32cb335",
    stated_by="detectors 0.1.11",
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="10,000",
    citation="Huang and Li, MOS: Towards Scaling Out-of-Distribution Detection for "
    "Large Semantic Space, CVPR 2021, arXiv 2105.01879",
    licence="iNaturalist 2017 terms, non-commercial (pytorch-ood)",
    homepage="https://github.com/deeplearning-wisc/large_scale_ood",
    trouble="OpenOOD takes the 10,000 images of the MOS paper; its own archive was "
    "not compared with this one.",
)


def inaturalist(argument: str) -> Dataset:
    """Opens photographs of plants that are none of ImageNet's classes.

    Images have various sizes and no labels, and are all in the test split.
    """
    return one_split("inaturalist", argument, ORIGIN, loose, family="plants")
