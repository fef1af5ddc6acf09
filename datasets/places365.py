"""Places365, the validation images."""

from __future__ import annotations

from oodbench import Dataset, Shape
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import loose, one_split

ARCHIVE = Source(
    "places365/val_256.tar",
    ("http://data.csail.mit.edu/places/places365/val_256.tar",),
    checksum="md5:e27b17d8d44f4af9a78502beb927f808",
    stated_by="torchvision 0.29.1, detectors 0.1.11",
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="36,500",
    citation="Zhou, Lapedriza, Khosla, Oliva and Torralba, Places: a 10 Million "
    "Image Database for Scene Recognition, IEEE Transactions on Pattern "
    "Analysis and Machine Intelligence 2018",
    licence="Places2 terms, non-commercial (pytorch-ood)",
    homepage="http://places2.csail.mit.edu/",
    trouble="OpenOOD leaves out images with CIFAR concepts: 35,195 remain for "
    "CIFAR-10 and 33,773 for CIFAR-100. Other papers take other images, "
    "often unnamed.",
)


def places365(argument: str) -> Dataset:
    """Opens photographs of 365 kinds of places, the official validation split.

    Images are `[N, 256, 256, 3]`, uint8, in the order of their numbers, all in the test
    split, without labels.
    """
    return one_split(
        "places365", argument, ORIGIN, loose, family="scenes", shape=Shape(3, 256, 256)
    )
