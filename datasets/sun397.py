"""SUN397."""

from __future__ import annotations

from oodbench import Dataset
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import loose, one_split

ARCHIVE = Source(
    "sun397/SUN397.tar.gz",
    ("http://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz",),
    checksum="md5:8ca2778205c41d23104230ba66911c7a",
    stated_by="torchvision 0.29.1",
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="108,754 (unverified)",
    citation="Xiao, Hays, Ehinger, Oliva and Torralba, SUN Database: Large-Scale "
    "Scene Recognition from Abbey to Zoo, CVPR 2010",
    homepage="https://vision.princeton.edu/projects/2010/SUN/",
)


def sun397(argument: str) -> Dataset:
    """Opens photographs of 397 kinds of places.

    Images have various sizes and no labels, and are all in the test split.
    """
    return one_split("sun397", argument, ORIGIN, loose, family="scenes")
