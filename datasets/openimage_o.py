"""OpenImage-O."""

from __future__ import annotations

from oodbench import Dataset
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import loose, one_split

ARCHIVE = Source(
    "openimage_o/OpenImage-O.zip",
    ("https://zenodo.org/records/10540831/files/OpenImage-O.zip",),
    checksum="md5:c0abd7cd4b6f218a7149adc718d70e6e",
    stated_by="torch-uncertainty",
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="17,632 (stated by detectors)",
    citation="Wang, Li, Feng and Zhang, ViM: Out-Of-Distribution with Virtual-logit "
    "Matching, CVPR 2022, arXiv 2203.10807",
    licence="annotations CC-BY-4.0, images CC-BY-2.0, check each (pytorch-ood)",
    homepage="https://storage.googleapis.com/openimages/web/index.html",
    trouble="OpenOOD tests on 15,869 of the images and validates on 1,763 others.",
)


def openimage_o(argument: str) -> Dataset:
    """Opens photographs of OpenImages whose objects are none of ImageNet's classes.

    Images have various sizes and no labels, and are all in the test split. Their names
    are the ids of OpenImages.
    """
    return one_split("openimage_o", argument, ORIGIN, loose, family="photographs")
